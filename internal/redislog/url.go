package redislog

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// parseURL reads a URL as [Connect] describes. Errors do not show its password.
func parseURL(text string) (o rueidis.ClientOption, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return o, fmt.Errorf("redislog: URL cannot be read") // the error has all of it
	}
	kind, sentinel := strings.CutSuffix(u.Scheme, "+sentinel")
	switch kind {
	case "redis", "valkey":
	case "rediss", "valkeys":
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: u.Query().Get("skip_verify") == "true"}
	default:
		return o, fmt.Errorf("redislog: URL has scheme %q, want redis, rediss, redis+sentinel or rediss+sentinel", u.Scheme)
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	port := "6379"
	if sentinel {
		port = "26379"
		if o.Sentinel.MasterSet, path = path[0], path[1:]; o.Sentinel.MasterSet == "" {
			return o, fmt.Errorf("redislog: URL %q does not name the master", u.Redacted())
		}
		o.Sentinel.TLSConfig = o.TLSConfig
		o.Sentinel.Username, o.Sentinel.Password = u.Query().Get("sentinel_user"), u.Query().Get("sentinel_password")
	}
	if o.InitAddress, err = addresses(append([]string{u.Host}, u.Query()["addr"]...), port); err != nil {
		return o, err
	}
	return o, database(&o, u, path)
}

// database reads what is left of the path.
func database(o *rueidis.ClientOption, u *url.URL, path []string) (err error) {
	if len(path) == 0 || len(path) == 1 && path[0] == "" {
		return nil
	}
	o.SelectDB, err = strconv.Atoi(path[0])
	if err != nil || len(path) > 1 || o.SelectDB < 0 {
		return fmt.Errorf("redislog: URL %q has path %q, want a database, such as /0", u.Redacted(), u.Path)
	}
	return nil
}

// addresses fills in what hosts lack.
func addresses(hosts []string, port string) (list []string, err error) {
	for _, host := range hosts {
		u := url.URL{Host: host}
		if u.Hostname() == "" {
			return nil, fmt.Errorf("redislog: URL has host %q, want a name or an address", host)
		}
		if u.Port() != "" {
			port = u.Port()
		}
		list = append(list, net.JoinHostPort(u.Hostname(), port))
	}
	return list, nil
}
