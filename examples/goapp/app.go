// Command app says once a second which user it runs as.
//
// The name behind a user ID is looked up in /etc/passwd, so the program shows whether the image that it was put into
// knows its own users.
package main

import (
	"fmt"
	"log"
	"os/user"
	"time"
)

func main() {
	for {
		current, err := user.Current()
		if err != nil {
			log.Fatalf("who am I? %v", err)
		}
		fmt.Printf("user: %s id: %s\n", current.Username, current.Uid)
		time.Sleep(time.Second)
	}
}
