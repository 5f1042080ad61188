// Package bustest checks that an implementation of [bus.Bus] keeps the promises that
// package bus makes. A bus's own tests run it:
//
//	func TestConformance(t *testing.T) {
//		bustest.Run(t, func(t testing.TB, o bustest.Options) bustest.Network {
//			net := mybus.NewNetwork(mybus.QueueBytes(o.QueueBytes))
//			t.Cleanup(net.Close)
//			return bustest.Network{
//				Bus: func() bus.Bus {
//					b := net.Attach()
//					t.Cleanup(b.Close)
//					return b
//				},
//				Disconnect: func(b bus.Bus) { b.(*mybus.Bus).Cut() },
//				Reconnect:  func(b bus.Bus) { b.(*mybus.Bus).Mend() },
//			}
//		})
//	}
//
// Each promise is a subtest with a network of its own. What is started for it ends in
// t.Cleanup; goroutines that are left after that fail the subtest, so the subtests must
// not run in parallel with other tests of the process. A network may be as slow as it
// is in production: the checks wait for events, never for a time, and give up after
// 20 s. The network must lose nothing unless it is told to.
//
// Beside these checks, test what is special to the bus: how it recovers from failures of
// the network, and what its users may configure.
package bustest
