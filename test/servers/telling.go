package servers

import "net/http"

// telling tells of an answer's status once, before the client can know it: a registry may
// send its answer off long before its handler returns.
type telling struct {
	http.ResponseWriter
	told bool
	tell func(status int)
}

func (w *telling) note(status int) {
	if !w.told {
		w.told = true
		w.tell(status)
	}
}

func (w *telling) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.note(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *telling) Write(p []byte) (int, error) {
	w.note(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Flush passes on what was written.
func (w *telling) Flush() {
	w.note(http.StatusOK)
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *telling) Unwrap() http.ResponseWriter { return w.ResponseWriter }
