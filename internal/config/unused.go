package config

import (
	"fmt"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
)

// mostTypos is by how many letters two hosts may differ that are taken for one, misspelt.
const mostTypos = 2

// UnusedItem is an item of registry-auth that no tag and no source uses.
type UnusedItem struct {
	Item *credentials.Item
	// Near is a repository without credentials whose registry is called nearly like the
	// item's, or the same: one of both may be misspelt. It is empty if there is none.
	Near imageref.Repository
}

// UnusedItems returns the items that are for none of used, which are the repositories of
// all tags and sources. without are those of them that are destinations and have no
// credentials. An item whose registry is empty is skipped, and not unused.
func UnusedItems(items []credentials.Item, used, without []imageref.Repository) []UnusedItem {
	var unused []UnusedItem
	for i := range items {
		item := &items[i]
		if item.Registry == "" || slices.ContainsFunc(used, item.Matches) {
			continue
		}
		unused = append(unused, UnusedItem{Item: item, Near: nearMiss(item, without)})
	}
	return unused
}

// nearMiss returns the repository whose registry is nearest to the item's.
func nearMiss(item *credentials.Item, without []imageref.Repository) (near imageref.Repository) {
	least := mostTypos + 1
	for _, r := range without {
		// Of two short names nearly all letters may differ by two.
		if d := suggest.Distance(item.Registry, r.Host); d < least && d*3 < len(item.Registry) {
			near, least = r, d
		}
	}
	return near
}

// Warning reports whether people should be warned: the step may have published less than
// it was meant to.
func (u UnusedItem) Warning() bool { return u.Near != imageref.Repository{} }

// String returns what people read of it.
func (u UnusedItem) String() string {
	scope := u.Item.Registry
	if u.Item.Path != "" {
		scope += "/" + u.Item.Path
	}
	text := fmt.Sprintf("registry-auth, line %d: no tag and no source uses the item for %s", u.Item.Line, scope)
	switch {
	case !u.Warning():
		return text
	case u.Near.Host == u.Item.Registry:
		return text + fmt.Sprintf("; %s has no credentials: is the path of one of them misspelt?", u.Near)
	}
	return text + fmt.Sprintf("; tags name %s, which has no credentials: is one of them misspelt?", u.Near.Host)
}
