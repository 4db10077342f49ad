package server

// BreakListener closes the first listener under a running server.
func (s *Server) BreakListener() { s.listeners[0].net.Close() }

// Streams returns how many streams are open.
func (s *Server) Streams() int { return s.engine.Len() }

// Adopted returns how many connections are served without net/http.
func (s *Server) Adopted() int { return s.native.Adopted() }
