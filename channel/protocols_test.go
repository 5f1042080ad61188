package channel

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix1"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

func TestNegotiation(t *testing.T) {
	proves(t, "B004", "B005")
	for vsn, ok := range map[string]bool{
		"2.0.0": true, "2.0.7": true, "2.0.70": true, "1.0.0": true, "1.0.12": true,
		"2.1.0": false, "1.1.0": false, "0.0.0": false, "3.0.0": false, "123.1.1": false, "2": false, "2.0": false, "": false,
		"2.0.0.0": false, "2.0.x": false, "02.0.0": false, "+2.0.0": false, "2.0.-1": false,
		"2.0.0-dev": false, "99999999999999999999.0.0": false,
	} {
		d, err := mustHandler(Handler{}).negotiate(vsn)
		if ok {
			require.NoError(t, err, vsn)
			require.Equal(t, map[byte]wire.Protocol{'1': phoenix1.Protocol{}, '2': phoenix2.Protocol{}}[vsn[0]], d.Protocol, vsn)
		} else {
			require.ErrorIs(t, err, wire.ErrVersion, vsn)
		}
	}
}
