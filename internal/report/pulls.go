package report

import (
	"fmt"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// pullsInSight is how many repositories' commands are seen before the others fold.
const pullsInSight = 4

// addPulls gives two commands for each repository that serves an image: by tag, as people
// write it, and by digest, because that is the one name that stays true.
func addPulls(s *summary, r publish.Result) {
	var seen, more []string
	for image := range r.Images {
		blocks := pulls(r, image)
		if len(blocks) == 0 {
			continue
		}
		inSight := min(len(blocks), pullsInSight)
		if len(r.Images) > 1 {
			inSight = 1
			blocks[0] = "**" + prose(bounded(imageName(r, image), 200)) + "**\n\n" + blocks[0]
		}
		seen, more = append(seen, blocks[:inSight]...), append(more, blocks[inSight:]...)
	}
	s.addAll("### Pull\n\n", seen, "", s.limit/8)
	s.addAll(fmt.Sprintf("<details><summary>%d more</summary>\n\n", len(more)), more, "</details>\n\n", s.limit/8)
}

// pulls returns a block of commands for each repository that serves the image, and is to: a tag that
// could not be put back is left out.
func pulls(r publish.Result, image int) []string {
	digest := r.Digest(image)
	if digest == "" {
		return nil
	}
	var blocks []string
	known := map[string]bool{}
	for _, g := range r.Registries {
		for _, ref := range g.References {
			repository := repositoryOf(ref.Reference)
			if ref.Image != image || known[repository] || ref.Status == Failed || !r.Serves(ref) {
				continue
			}
			known[repository] = true
			byDigest := "docker pull " + repository + "@" + digest
			if ref.Reference == repository+"@"+digest {
				blocks = append(blocks, fenced("sh", byDigest)+"\n")
			} else {
				blocks = append(blocks, fenced("sh", "docker pull "+ref.Reference, byDigest)+"\n")
			}
		}
	}
	return blocks
}
