package longpoll

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// These tests run in virtual time.

// inBubble connects one client.
func inBubble(t *testing.T, cfg Config, run func(t *testing.T, r *replica, token string)) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, cfg)
		run(t, r, connect(t, r))
	})
}

// B099.
func TestAPollWithoutMessagesEndsWithItsWindow(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		begin := time.Now()
		a := get(r, token)
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.Equal(t, fmt.Sprintf(`{"messages":[],"status":204,"token":"%s"}`, token), a.Body)
	})
}

// B099, B107.
func TestAPollThatWaitsIsAnsweredAtOnce(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		begin := time.Now()
		polled := asyncGet(t.Context(), r, token)
		time.Sleep(7 * time.Second)
		r.last().send("one")
		require.Equal(t, []string{"one"}, (<-polled).Messages)
		require.Equal(t, 7*time.Second, time.Since(begin))
		r.last().send("two")
		r.last().send("three")
		require.Equal(t, []string{"two", "three"}, get(r, token).Messages)
	})
}

// B106.
func TestASessionThatIsNotPolledEnds(t *testing.T) {
	tests := []struct {
		name string
		do   func(r *replica, token string)
		idle time.Duration // from when do has returned
	}{
		{"never polled", func(*replica, string) {}, 15 * time.Second},
		{"polled once, with messages", func(r *replica, token string) {
			time.Sleep(14 * time.Second)
			r.last().send("x")
			get(r, token)
		}, 15 * time.Second},
		{"polled for a window", func(r *replica, token string) { get(r, token) }, 15 * time.Second},
		{"only posting", func(r *replica, token string) {
			time.Sleep(14 * time.Second)
			post(r, token, "[]")
		}, time.Second},
		{"sent to", func(r *replica, token string) {
			time.Sleep(14 * time.Second)
			r.last().send("x")
		}, time.Second},
		{"a poll that was hung up", func(r *replica, token string) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			do(ctx, r, "GET", "/?token="+token, "")
		}, 15 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
				tt.do(r, token)
				c := r.last()
				time.Sleep(tt.idle - time.Nanosecond)
				synctest.Wait()
				require.Empty(t, c.closedWith())
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				require.Equal(t, []channel.Reason{wire.ReasonInactive}, c.closedWith())
				require.EqualValues(t, 1, r.Stats().Inactive)
				require.Zero(t, r.Stats().Sessions)
				require.Equal(t, 410, post(r, token, "[]").Status)
				require.Equal(t, 410, get(r, token).Status)
			})
		})
	}
}

func TestAClientThatKeepsPollingStaysForHours(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		for i := range 1000 {
			require.Equal(t, 204, get(r, token).Status)
			time.Sleep(14 * time.Second)
			r.last().send(fmt.Sprint(i))
			require.Equal(t, []string{fmt.Sprint(i)}, get(r, token).Messages)
		}
		require.Empty(t, r.last().closedWith())
	})
}

// B104: the token's age, not the session's activity, counts.
func TestATokenExpiresWhileItIsPolled(t *testing.T) {
	inBubble(t, Config{TokenAge: 30 * time.Second}, func(t *testing.T, r *replica, token string) {
		for range 3 {
			require.Equal(t, 204, get(r, token).Status)
		}
		require.Equal(t, 200, post(r, token, "[]").Status)
		time.Sleep(2 * time.Millisecond)
		require.Equal(t, 410, post(r, token, "[]").Status)
		a := get(r, token)
		require.Equal(t, 410, a.Status)
		require.NotEqual(t, token, a.Token)
	})
}

// B110.
func TestOfTwoPollsTheLaterTakesOver(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		begin := time.Now()
		first := asyncGet(t.Context(), r, token)
		time.Sleep(time.Second)
		second := asyncGet(t.Context(), r, token)
		time.Sleep(time.Second)
		r.last().send("x")
		require.Equal(t, []string{"x"}, (<-second).Messages)
		require.Equal(t, 2*time.Second, time.Since(begin))
		r.last().send("y")
		require.Equal(t, 204, (<-first).Status)
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.Equal(t, []string{"y"}, get(r, token).Messages)
	})
}

func TestAnOvertakenPollThatHangsUpDisturbsNobody(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		ctx, cancel := context.WithCancel(t.Context())
		first := asyncGet(ctx, r, token)
		synctest.Wait()
		second := asyncGet(t.Context(), r, token)
		synctest.Wait()
		cancel()
		<-first
		require.True(t, r.onlyClient(t).isPolled())
		r.last().send("x")
		require.Equal(t, []string{"x"}, (<-second).Messages)
	})
}

// B112: the poll that waits need not wait for its window.
func TestAPollThatWaitsLearnsOfTheEndOfItsSession(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		begin := time.Now()
		polled := asyncGet(t.Context(), r, token)
		time.Sleep(time.Second)
		c := r.last()
		c.link.Close(wire.CloseGoingAway, "disconnected")
		c.send("after the end")
		a := <-polled
		require.Equal(t, 410, a.Status)
		require.NotEqual(t, token, a.Token)
		require.Equal(t, time.Second, time.Since(begin))
		synctest.Wait()
		require.Len(t, c.closedWith(), 1)
	})
}

// B100.
func TestAPostThatDoesNotGetItsTurnIs408(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, _ string) {
		r.receive = func(bool, []byte) *wire.Close {
			time.Sleep(12 * time.Second)
			return nil
		}
		token := connect(t, r)
		go get(r, token)
		first := make(chan answer, 1)
		go func() { first <- post(r, token, "[1]") }()
		synctest.Wait()
		begin := time.Now()
		require.JSONEq(t, `{"status":408}`, post(r, token, "[2]").Body)
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.Equal(t, 200, (<-first).Status)
		require.Equal(t, []string{"text [1]"}, r.last().got())
	})
}

func TestConcurrentPostsAreReceivedOneAfterTheOther(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, _ string) {
		r.receive = func(bool, []byte) *wire.Close {
			time.Sleep(time.Second)
			return nil
		}
		token := connect(t, r)
		polled := asyncGet(t.Context(), r, token)
		done := make(chan answer)
		for range 4 {
			go func() { done <- post(r, token, "[1]", "[2]") }()
		}
		for range 4 {
			require.Equal(t, 200, (<-done).Status)
		}
		got := r.last().got()
		require.Len(t, got, 8)
		for i := 0; i < 8; i += 2 {
			require.Equal(t, []string{"text [1]", "text [2]"}, got[i:i+2])
		}
		r.last().send("x")
		<-polled
	})
}

func TestCloseAnswersPollsAndWaitsForRequests(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		c := r.last()
		first := asyncGet(t.Context(), r, token)
		synctest.Wait()
		second := asyncGet(t.Context(), r, token)
		synctest.Wait()
		require.NoError(t, r.Close(context.Background()))
		for _, polled := range []<-chan answer{first, second} {
			a := <-polled
			require.Equal(t, 503, a.HTTP)
			require.JSONEq(t, `{"status":500}`, a.Body)
		}
		require.Equal(t, []channel.Reason{wire.ReasonClosed}, c.closedWith())
		require.Zero(t, r.Stats().Sessions)
		require.NoError(t, r.Close(context.Background()), "again")
	})
}

func TestCloseTellsWhatRemainsWhenItsContextEnds(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, r *replica, token string) {
		r.receive = func(bool, []byte) *wire.Close {
			time.Sleep(time.Minute)
			return nil
		}
		token = connect(t, r)
		posted := make(chan answer, 1)
		go func() { posted <- post(r, token, "[]") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := r.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "1 requests and sessions remain")
		require.NoError(t, r.Close(context.Background()))
		require.Equal(t, 200, (<-posted).Status)
	})
}
