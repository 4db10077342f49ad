package webhook

// Waiting returns how many messages wait to be stored, and -1 when none are taken.
func (s *Source) Waiting() int {
	w := s.work.Load()
	if w == nil {
		return -1
	}
	return len(w.queue)
}
