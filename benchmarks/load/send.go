package main

import (
	"bufio"
	"bytes"
	"flag"
	"os"
	"sync"
	"time"
)

// Sends the requests that it reads, lines of "METHOD PATH BODY", over several connections.
func send(args []string) {
	var to api
	set := flag.NewFlagSet("send", flag.ExitOnError)
	to.flags(set, "")
	connections := set.Int("connections", 16, "how many")
	must(set.Parse(args))

	var lines [][]byte
	read := bufio.NewReader(os.Stdin)
	for {
		line, err := read.ReadBytes('\n')
		if err != nil {
			break
		}
		lines = append(lines, bytes.TrimSpace(line))
	}
	// Those that follow another must find it there: a Service before its Endpoints.
	queue := make(chan []byte, len(lines))
	for _, line := range lines {
		queue <- line
	}
	close(queue)
	client := to.client()
	var working sync.WaitGroup
	began := time.Now()
	for i := 0; i < *connections; i++ {
		working.Add(1)
		go func() {
			defer working.Done()
			for line := range queue {
				parts := bytes.SplitN(line, []byte(" "), 3)
				to.do(client, string(parts[0]), string(parts[1]), parts[2])
			}
		}()
	}
	working.Wait()
	tell(map[string]interface{}{"requests": len(lines), "seconds": time.Since(began).Seconds()})
}
