package dashboard

import "io/fs"

// Files is the folder web, as it is embedded.
var Files = files

// HashOf returns the hash under which the files of a folder are served.
func HashOf(folder fs.FS) string { return newSite(folder).hash }
