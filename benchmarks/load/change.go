package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"sync"
	"time"
)

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Changes objects in etcd itself, beneath the API server: its computing time is then that of watches
// alone, and what is to come at once does. Each gets a new stamp and stays as it is otherwise.
func change(args []string) {
	var etcd api
	set := flag.NewFlagSet("change", flag.ExitOnError)
	etcd.flags(set, "")
	prefix := set.String("prefix", "", "of the objects' keys")
	count := set.Int("count", 100, "of changes")
	burst := set.Int("burst", 1, "how many at once")
	rate := set.Float64("rate", 0, "changes a second; 0: all bursts at once")
	must(set.Parse(args))

	client := etcd.client()
	objects := objects(&etcd, client, *prefix, *burst)
	tell(map[string]interface{}{"objects": len(objects)})
	began := time.Now()
	for sent := 0; sent < *count; sent += *burst {
		if *rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(float64(sent) / *rate * float64(time.Second)))))
		}
		var writing sync.WaitGroup
		for i := 0; i < *burst && sent+i < *count; i++ {
			object := objects[(sent+i)%len(objects)]
			writing.Add(1)
			go func() {
				defer writing.Done()
				value := append([]byte{}, object.value...)
				copy(value[object.at:], stamp())
				etcd.put(client, object.key, value)
			}()
		}
		writing.Wait()
	}
	tell(map[string]interface{}{"changes": *count, "seconds": time.Since(began).Seconds()})
}

type stamped struct {
	key   string
	value []byte
	at    int
}

// The stamped objects under a prefix, at least as many as are changed at once.
func objects(etcd *api, client *http.Client, prefix string, least int) []stamped {
	end := append([]byte(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
	asked, err := json.Marshal(map[string]string{
		"key":       base64.StdEncoding.EncodeToString([]byte(prefix)),
		"range_end": base64.StdEncoding.EncodeToString(end),
	})
	must(err)
	var told struct{ Kvs []pair }
	must(json.Unmarshal(etcd.do(client, "POST", "/v3/kv/range", asked), &told))
	var found []stamped
	for _, one := range told.Kvs {
		key, err := base64.StdEncoding.DecodeString(one.Key)
		must(err)
		value, err := base64.StdEncoding.DecodeString(one.Value)
		must(err)
		if at := stampAt(value); at >= 0 {
			found = append(found, stamped{string(bytes.TrimSpace(key)), value, at})
		}
	}
	if len(found) < least {
		fail("%d stamped objects under %s, and %d are to be changed at once", len(found), prefix, least)
	}
	return found
}

func (a *api) put(client *http.Client, key string, value []byte) {
	asked, err := json.Marshal(pair{
		base64.StdEncoding.EncodeToString([]byte(key)),
		base64.StdEncoding.EncodeToString(value),
	})
	must(err)
	a.do(client, "POST", "/v3/kv/put", asked)
}
