package feed

import "github.com/weirstream/weir/internal/topic"

// RenderTopic makes the topic of a message, if it is one.
func RenderTopic(template string, m Message) (string, error) {
	k, err := newMaker(&Spec{Name: "test", Topic: template}, false)
	if err != nil {
		return "", err
	}
	made, err := k.make(&m)
	if err != nil {
		return "", err
	}
	return made.Topics[0], topic.Check(made.Topics[0])
}
