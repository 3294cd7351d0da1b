// PocketBase as it is, listening at an address that it names.
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
)

func main() {
	app := pocketbase.New()
	app.OnServe().BindFunc(func(event *core.ServeEvent) error {
		listener, err := net.Listen("tcp", event.Server.Addr)
		if err != nil {
			return err
		}
		fmt.Println("listening on", listener.Addr())
		event.Listener = listener
		return event.Next()
	})
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}
