package access

import (
	"container/list"
	"time"
)

// An answer is what the application said to a question: a grant, or a refusal.
type answer struct {
	grant Grant
	err   *Error
	once  bool      // only for the request that was asked about
	ends  time.Time // it is used again until then
}

// answers keeps those that can be used again. It is bounded: the oldest are dropped
// for new ones. It belongs to one goroutine at a time.
type answers struct {
	most   int
	byKey  map[digest]*list.Element
	oldest list.List // of *kept, in the order in which they came
}

type kept struct {
	key    digest
	answer answer
}

func newAnswers(most int) answers {
	return answers{most: most, byKey: make(map[digest]*list.Element)}
}

func (c *answers) len() int { return c.oldest.Len() }

// get returns an answer that has not ended.
func (c *answers) get(key digest, now time.Time) (answer, bool) {
	e := c.byKey[key]
	if e == nil {
		return answer{}, false
	}
	if a := e.Value.(*kept).answer; now.Before(a.ends) {
		return a, true
	}
	c.remove(e)
	return answer{}, false
}

// put keeps an answer in place of an older one to the same question, unless it ends
// by now. It drops what is at the front and has ended, or is too much.
func (c *answers) put(key digest, a answer, now time.Time) {
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
	if now.Before(a.ends) {
		c.byKey[key] = c.oldest.PushBack(&kept{key, a})
	}
	for e := c.oldest.Front(); e != nil; e = c.oldest.Front() {
		if c.len() <= c.most && now.Before(e.Value.(*kept).answer.ends) {
			return
		}
		c.remove(e)
	}
}

func (c *answers) remove(e *list.Element) {
	delete(c.byKey, c.oldest.Remove(e).(*kept).key)
}
