package main

import (
	"flag"
	"io"
	"time"
)

// Asks for the same again and again, one request after the other over one connection.
func list(args []string) {
	var of api
	set := flag.NewFlagSet("list", flag.ExitOnError)
	of.flags(set, "")
	path := set.String("path", "", "what is asked for")
	count := set.Int("count", 10, "how often")
	gzip := set.Bool("gzip", false, "compressed")
	must(set.Parse(args))

	client := of.client()
	var bytes int64
	began := time.Now()
	for i := 0; i < *count; i++ {
		request := of.request("GET", *path, nil)
		if *gzip {
			request.Header.Set("Accept-Encoding", "gzip")
		}
		response := of.answer(client, request)
		if told := response.Header.Get("Content-Encoding") == "gzip"; told != *gzip {
			fail("compressed: asked %v, answered %v", *gzip, told)
		}
		read, err := io.Copy(io.Discard, response.Body)
		must(err)
		bytes += read
		response.Body.Close()
	}
	tell(map[string]interface{}{
		"requests": *count, "bytes": bytes / int64(*count), "seconds": time.Since(began).Seconds(),
	})
}
