package source

import (
	"bytes"
	"encoding/json"
)

// maxObjects bounds how many objects a document may hold. The shortest descriptor takes
// some hundred bytes, so 4 MiB of real ones are 40,000; but 4 MiB of {} would become
// 300 MiB of empty descriptors.
const maxObjects = 100_000

// decode reads a JSON document that came from outside.
func decode(raw []byte, into any, what string) error {
	if bytes.Count(raw, []byte{'{'}) > maxObjects {
		return broken(nil, "%s holds more than %d objects", what, maxObjects)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return broken(err, "%s cannot be understood", what)
	}
	return nil
}
