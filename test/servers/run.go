package servers

import (
	"fmt"
	"strings"
)

// Run is one publish to several servers: what it must do in which order across them.
type Run struct {
	Began       int64 // see Now
	Targets     []Target
	Permissions bool // no byte goes anywhere before every target has allowed an upload
	Atomic      bool // no tag is written anywhere before every target is whole
}

// Target is a repository that a run publishes an image to.
type Target struct {
	Server     *Server
	Repository string
	Digest     string // of the image
}

// Disorder returns what the run wrote in a wrong order.
func (r Run) Disorder() (wrong []string) {
	writes := map[*Server][]Write{}
	images := map[string]bool{}
	for _, t := range r.Targets {
		images[t.Digest] = true
		if writes[t.Server] == nil {
			writes[t.Server] = t.Server.Writes(r.Began)
		}
	}
	var tagged int64 // when the first tag was written to an image of this run
	for s, all := range writes {
		for i, w := range all {
			if w.Kind == Tag && images[w.Digest] && !strings.HasPrefix(w.Name, "sha256-") {
				if w.Status/100 != 4 && (tagged == 0 || w.Began < tagged) { // a refused one is no tag
					tagged = w.Began
				}
				wrong = append(wrong, late(s, w, all[i+1:])...)
			}
			if w.Kind == Sent && r.Permissions {
				wrong = append(wrong, r.unpermitted(s, w, writes)...)
			}
		}
	}
	if !r.Atomic || tagged == 0 {
		return wrong
	}
	for _, t := range r.Targets {
		for _, w := range writes[t.Server] {
			content := w.Kind == Sent || w.Kind == Manifest || w.Kind == Tag && strings.HasPrefix(w.Name, "sha256-")
			if content && w.Repository == t.Repository && (w.Ended == 0 || w.Ended > tagged) {
				wrong = append(wrong, fmt.Sprintf("%s is written to after a tag was: %s %s%s to %s",
					t.Server.Host, w.Kind, w.Name, w.Digest, w.Repository))
			}
		}
	}
	return wrong
}

// late returns what refers to a tag's image and was written after the tag.
func late(s *Server, tag Write, after []Write) (wrong []string) {
	for _, w := range after {
		refers := w.Kind == Manifest && tag.Image[w.Subject]
		for digest := range tag.Image {
			refers = refers || w.Kind == Tag && strings.HasPrefix(w.Name, strings.Replace(digest, ":", "-", 1))
		}
		if refers && w.Repository == tag.Repository {
			wrong = append(wrong, fmt.Sprintf("%s: %s %s refers to %s:%s and is written after the tag",
				s.Host, w.Kind, w.Name, tag.Repository, tag.Name))
		}
	}
	return wrong
}

// unpermitted returns the targets that had not allowed an upload when bytes were sent.
func (r Run) unpermitted(s *Server, sent Write, writes map[*Server][]Write) (wrong []string) {
	for _, t := range r.Targets {
		allowed := false
		for _, w := range writes[t.Server] {
			opened := w.Kind == Opened && w.Repository == t.Repository && w.Status/100 == 2
			allowed = allowed || opened && w.Ended < sent.Began
		}
		if !allowed {
			wrong = append(wrong, fmt.Sprintf("%s gets bytes to %s before %s has allowed an upload to %s",
				s.Host, sent.Repository, t.Server.Host, t.Repository))
		}
	}
	return wrong
}
