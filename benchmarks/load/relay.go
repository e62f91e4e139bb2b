package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"net/http"
)

// The least that can bring a change from one cluster to another: one watch on the source, and for
// each event one PUT on the host. It knows no plan, no owner and no failure.
func relay(args []string) {
	var source, host api
	set := flag.NewFlagSet("relay", flag.ExitOnError)
	source.flags(set, "source-")
	host.flags(set, "host-")
	path := set.String("path", "/api/v1/endpoints", "what is watched")
	into := set.String("into", "default", "the namespace of the host that is written to")
	must(set.Parse(args))

	reading, writing := source.client(), host.client()
	version := member(source.do(reading, "GET", *path+"?limit=1", nil), "resourceVersion")
	target := *path + "?watch=1&timeoutSeconds=3600&resourceVersion=" + version
	response := source.answer(reading, source.request(http.MethodGet, target, nil))
	tell(map[string]interface{}{"watching": 1})
	for lines := bufio.NewReader(response.Body); ; {
		line, err := lines.ReadBytes('\n')
		must(err)
		var event struct {
			Object struct {
				Metadata struct {
					Name                string
					Annotations, Labels map[string]string
				}
				Subsets json.RawMessage
			}
		}
		must(json.Unmarshal(line, &event))
		metadata := event.Object.Metadata
		body, err := json.Marshal(map[string]interface{}{
			"metadata": map[string]interface{}{
				"name":        metadata.Name,
				"annotations": metadata.Annotations,
				"labels":      metadata.Labels,
			},
			"subsets": event.Object.Subsets,
		})
		must(err)
		host.do(writing, "PUT", "/api/v1/namespaces/"+*into+"/endpoints/"+metadata.Name, body)
	}
}
