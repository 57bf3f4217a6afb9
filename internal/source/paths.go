package source

import (
	"os"
	"path/filepath"
	"strings"
)

// Paths maps paths as the rest of a workflow writes them to where this process
// sees them. In a container action those differ: the runner mounts the workspace
// and its temporary folder elsewhere, and rewrites only environment values that
// begin with one of them. The zero value maps nothing.
type Paths struct {
	// Container says that this process is a container action.
	Container bool
	// Seen are the folders of the host that this process sees, if it is a container of a
	// workflow: the workspace and, if that is one of them, the runner's temporary folder.
	Seen []string
	// Contained says that this process is in a container of any kind.
	Contained bool
	// Folders maps folders of the host, without a trailing slash, to ours.
	Folders map[string]string
	// Exists reports whether a path is there. nil asks the file system.
	Exists func(path string) bool
}

// Map returns where this process sees path. A path that is there as written, or
// that is in none of the folders, stays.
func (p Paths) Map(path string) string {
	if len(p.Folders) == 0 || !filepath.IsAbs(path) || p.exists(path) {
		return path
	}
	best, ours := "", ""
	for host, to := range p.Folders {
		if len(host) > len(best) && within(path, host) {
			best, ours = host, to
		}
	}
	if best == "" {
		return path
	}
	return ours + path[len(best):]
}

func (p Paths) exists(path string) bool {
	if p.Exists != nil {
		return p.Exists(path)
	}
	_, err := os.Stat(path)
	return err == nil
}

// within reports whether path is folder or below it. A colon ends the folder too:
// PATH:TAG is mapped before it is taken apart.
func within(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, folder)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == ':')
}
