package demo

import (
	"strconv"
	"strings"
)

// explain says how to look further. Every line works as it stands, from a shell
// on this machine.
func (d *demo) explain() {
	cli, api := d.commands()
	d.screen.say("")
	d.screen.write(part{"Look further, from another terminal:", bold})
	for _, line := range append(cli, api...) {
		d.screen.say("  " + line)
	}
	d.screen.say("  documentation of the API: " + d.config.BaseURL() + "/docs")
	d.screen.say("")
}

// commands are lines for the command line and for curl.
func (d *demo) commands() (cli, curl []string) {
	run := "certfleet --config " + quote(d.path(configFile)) + " "
	cli = []string{
		"export CERTFLEET_TOKEN=file:" + quote(d.path(tokenFile)),
		run + "list",
		run + "why shop.demo.test",
		run + "why " + missingName,
		run + "events --follow",
	}
	ask := "curl --cacert " + quote(d.path("ca.pem")) + ` -H "Authorization: Bearer $(cat ` + quote(d.path(tokenFile)) + `)" ` + d.config.BaseURL()
	_, port, _ := strings.Cut(d.edge.addr, ":")
	curl = []string{
		ask + "/v1/certificates",
		ask + "/v1/why/" + missingName,
		"curl --cacert " + quote(d.path(rootsFile)) + " --resolve shop.demo.test:" + port + ":127.0.0.1 https://shop.demo.test:" + port + "/",
	}
	return cli, curl
}

// quote makes a path one word of a shell.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}
