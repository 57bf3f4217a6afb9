package registry

import (
	"bytes"
	"encoding/json"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

func init() { toxics.Register("dormant", new(dormant)) }

// dormant is a toxic that lets everything pass until it is woken as another one. It is
// there before the first connection: toxiproxy waits for ever when a toxic is added to a
// connection that breaks at the same moment.
type dormant struct {
	once  sync.Once
	woken chan struct{} // closed after toxic is set
	toxic toxics.Toxic
}

// lay puts a dormant toxic on one direction of a proxy without connections.
func lay(proxy *toxiproxy.Proxy, stream string) (*dormant, error) {
	wrapper, err := proxy.Toxics.AddToxicJson(bytes.NewReader([]byte(`{"type": "dormant", "stream": "` + stream + `"}`)))
	if err != nil {
		return nil, err
	}
	d := wrapper.Toxic.(*dormant)
	d.woken = make(chan struct{})
	return d, nil
}

// wake makes it the toxic that toxiproxy names so, for all connections. What is in the
// proxy at this moment may still pass.
func (d *dormant) wake(kind string, attributes map[string]any) error {
	raw, err := json.Marshal(attributes)
	if err != nil {
		return err
	}
	toxic := toxics.New(&toxics.ToxicWrapper{Type: kind})
	if err := json.Unmarshal(raw, toxic); err != nil {
		return err
	}
	d.once.Do(func() {
		d.toxic = toxic
		close(d.woken)
	})
	return nil
}

// Pipe implements toxics.Toxic.
func (d *dormant) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-d.woken:
			if stateful, ok := d.toxic.(toxics.StatefulToxic); ok {
				stub.State = stateful.NewState()
			}
			d.toxic.Pipe(stub)
			return
		default:
		}
		select {
		case <-d.woken:
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			stub.Output <- chunk
		}
	}
}
