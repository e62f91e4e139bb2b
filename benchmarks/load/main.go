// Load for the benchmarks, and what the program is compared with: compiled, and of Go's standard
// library alone, so that little of a machine's time goes to the measuring.
//
// Each subcommand tells what it did in lines of JSON. It ends with status 1, and why, at the first
// answer that it did not expect: a figure of something that failed is worth nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

var commands = map[string]func([]string){
	"send":   send,
	"watch":  watch,
	"change": change,
	"relay":  relay,
	"list":   list,
	"ready":  ready,
}

func main() {
	if len(os.Args) > 1 {
		if command := commands[os.Args[1]]; command != nil {
			command(os.Args[2:])
			return
		}
	}
	fail("one of send, watch, change, relay, list, ready is to be named")
}

func fail(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func tell(what map[string]interface{}) {
	line, err := json.Marshal(what)
	must(err)
	fmt.Printf("%s\n", line)
}
