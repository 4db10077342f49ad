package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed web
var embedded embed.FS

// files is the folder web.
func files() fs.FS {
	sub, err := fs.Sub(embedded, "web")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// types are the media types of the page's files by name ending. The system's own
// table is not asked: it differs between machines, and browsers run a module
// only with the right type.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// placeholder stands in index.html where the hash belongs.
const placeholder = "assets/-/"

// A site is the page and its files, read once.
type site struct {
	hash  string            // of all files
	index []byte            // index.html with the hash put in
	files map[string][]byte // by name
}

// newSite reads all files of a folder. The files refer to each other by relative
// names, so one hash over all of them is part of every address: when one file
// changes, all addresses do, and no browser ever mixes two versions.
func newSite(folder fs.FS) *site {
	s := &site{files: make(map[string][]byte)}
	sum := sha256.New()
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, name)
		s.files[name] = data
		_, _ = io.WriteString(sum, name+"\x00")
		_, _ = sum.Write(data)
		return err
	})
	if err != nil {
		panic(err) // the folder is part of the program
	}
	s.hash = hex.EncodeToString(sum.Sum(nil)[:8])
	s.index = bytes.ReplaceAll(s.files["index.html"], []byte(placeholder), []byte("assets/"+s.hash+"/"))
	delete(s.files, "index.html")
	return s
}

// serveIndex serves the page. Browsers keep it, but ask each time whether it is
// still the one.
func (s *site) serveIndex(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	s.serve(w, r, "index.html", s.index)
}

// serveAsset serves a file. Browsers keep it for a year without asking. A file
// under another hash is not this one, so it is not found.
func (s *site) serveAsset(w http.ResponseWriter, r *http.Request) {
	data, ok := s.files[r.PathValue("name")]
	if !ok || r.PathValue("hash") != s.hash {
		notFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	s.serve(w, r, r.PathValue("name"), data)
}

// serveIcon is for browsers that look at an address of the server which is not
// the page, and ask for its icon on their own.
func (s *site) serveIcon(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=86400")
	s.serve(w, r, "icon.svg", s.files["icon.svg"])
}

func (s *site) serve(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	w.Header().Set("Content-Type", types[path.Ext(name)])
	w.Header().Set("ETag", `"`+s.hash+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}
