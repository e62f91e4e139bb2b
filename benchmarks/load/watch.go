package main

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// One watch of many.
type watcher struct {
	events int64 // read by others
	held   []byte
	ages   []time.Duration
	timed  bool
}

// Counts the events of what has arrived; bookmarks are none.
func (w *watcher) take(data []byte, now time.Time) {
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			w.held = append(w.held, data...)
			return
		}
		line := data[:end]
		if len(w.held) > 0 {
			w.held = append(w.held, line...)
			line = w.held
		}
		if bytes.HasPrefix(line, []byte(`{"type":"ERROR"`)) {
			fail("a watch was told: %s", line)
		}
		if !bytes.HasPrefix(line, []byte(`{"type":"BOOKMARK"`)) {
			if w.timed {
				if took := age(line, now); took >= 0 {
					w.ages = append(w.ages, took)
				}
			}
			atomic.AddInt64(&w.events, 1)
		}
		w.held = w.held[:0]
		data = data[end+1:]
	}
}

func (w *watcher) follow(body io.Reader) {
	buffer := make([]byte, 65536)
	for {
		count, err := body.Read(buffer)
		if count > 0 {
			w.take(buffer[:count], time.Now())
		}
		if err != nil {
			fail("a watch ended after %d events: %v", atomic.LoadInt64(&w.events), err)
		}
	}
}

// Holds watches open. It says when all are, and for each line "await N" when each of them has had N
// events since: then how many all had, and how old they were when they came.
func watch(args []string) {
	var of api
	set := flag.NewFlagSet("watch", flag.ExitOnError)
	of.flags(set, "")
	path := set.String("path", "/api/v1/endpoints", "what is watched")
	version := set.String("version", "", "from which on; by default that of a list")
	count := set.Int("watchers", 1, "how many")
	timed := set.Int("timed", 20, "of how many the delays are measured")
	patience := set.Duration("patience", 2*time.Minute, "for how long is waited")
	must(set.Parse(args))

	separator := "?"
	if strings.Contains(*path, "?") {
		separator = "&"
	}
	if *version == "" {
		listed := of.do(of.client(), "GET", *path+separator+"limit=1", nil)
		*version = member(listed, "resourceVersion")
	}
	watchers := make([]*watcher, *count)
	var opening sync.WaitGroup
	lines := make(chan struct{}, 16) // of these few at a time are begun
	for i := range watchers {
		one := &watcher{timed: i < *timed}
		watchers[i] = one
		opening.Add(1)
		lines <- struct{}{}
		go func() {
			// A client each: a connection of its own.
			target := *path + separator + "watch=1&timeoutSeconds=3600&resourceVersion=" + *version
			response := of.answer(of.client(), of.request(http.MethodGet, target, nil))
			<-lines
			opening.Done()
			one.follow(response.Body)
		}()
	}
	opening.Wait()
	tell(map[string]interface{}{"watching": *count})
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		words := strings.Fields(asked.Text())
		wanted, err := strconv.ParseInt(words[len(words)-1], 10, 64)
		must(err)
		began := time.Now()
		for _, one := range watchers {
			for atomic.LoadInt64(&one.events) < wanted {
				if time.Since(began) > *patience {
					fail("a watch had %d of %d events", atomic.LoadInt64(&one.events), wanted)
				}
				time.Sleep(time.Millisecond)
			}
		}
		report(watchers)
	}
}

func report(watchers []*watcher) {
	var events int64
	var ages []time.Duration
	for _, one := range watchers {
		events += atomic.SwapInt64(&one.events, 0)
		ages = append(ages, one.ages...)
		one.ages = nil
	}
	told := map[string]interface{}{"events": events}
	if len(ages) > 0 {
		sort.Slice(ages, func(i, j int) bool { return ages[i] < ages[j] })
		told["p50"] = ages[len(ages)/2].Seconds()
		told["p99"] = ages[len(ages)*99/100].Seconds()
		told["worst"] = ages[len(ages)-1].Seconds()
	}
	tell(told)
}

// The text of the first member of this name.
func member(object []byte, name string) string {
	_, after, found := bytes.Cut(object, []byte(`"`+name+`":"`))
	if !found {
		fail("no %s in %.200s", name, object)
	}
	text, _, _ := bytes.Cut(after, []byte(`"`))
	return string(text)
}
