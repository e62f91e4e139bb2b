package main

import (
	"encoding/json"
	"flag"
	"net/http"
	"strconv"
)

type metadata struct {
	Namespace, Name, UID, ResourceVersion string
	Labels, Annotations                   map[string]string
}

type service struct {
	Metadata metadata
	Spec     struct {
		ClusterIP, Type string
		Ports           []struct {
			Name, Protocol string
			Port           int
		}
	}
}

type endpoints struct {
	Metadata metadata
	Subsets  []struct {
		Addresses []struct {
			IP, NodeName string
			TargetRef    struct{ Kind, Namespace, Name, UID string }
		}
		Ports []struct {
			Name, Protocol string
			Port           int
		}
	}
}

// The least that a compiled program has to do before it is ready: list the Services and Endpoints
// of both clusters, all four at once and in pages as client-go asks for them, keep them decoded, and
// watch.
func ready(args []string) {
	var source, host api
	set := flag.NewFlagSet("ready", flag.ExitOnError)
	source.flags(set, "source-")
	host.flags(set, "host-")
	must(set.Parse(args))

	done := make(chan int)
	for _, one := range []*api{&source, &host} {
		one := one
		client := one.client()
		go func() { done <- len(follow[service](one, client, "/api/v1/services")) }()
		go func() { done <- len(follow[endpoints](one, client, "/api/v1/endpoints")) }()
	}
	objects := 0
	for i := 0; i < 4; i++ {
		objects += <-done
	}
	tell(map[string]interface{}{"objects": objects})
}

func follow[T any](of *api, client *http.Client, path string) []T {
	var found []T
	var page struct {
		Metadata struct{ ResourceVersion, Continue string }
		Items    []T
	}
	for {
		target := path + "?limit=" + strconv.Itoa(500) + "&continue=" + page.Metadata.Continue
		page.Metadata.Continue, page.Items = "", nil
		must(json.Unmarshal(of.do(client, "GET", target, nil), &page))
		found = append(found, page.Items...)
		if page.Metadata.Continue == "" {
			break
		}
	}
	target := path + "?watch=1&resourceVersion=" + page.Metadata.ResourceVersion
	of.answer(client, of.request(http.MethodGet, target, nil))
	return found
}
