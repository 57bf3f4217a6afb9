package report

// MaxSummary is what Markdown is asked to stay below where nothing else is said:
// GitHub refuses a step's summary of more than 1 MiB.
const MaxSummary = 1_000_000

// Markdown returns the job summary in at most limit bytes.
func (r *Record) Markdown(limit int) string {
	var table tableText
	_ = r.Table(&table, 120)
	return bounded("```text\n"+string(table)+"```\n", limit)
}

type tableText string

func (t *tableText) Write(p []byte) (int, error) { *t += tableText(p); return len(p), nil }
