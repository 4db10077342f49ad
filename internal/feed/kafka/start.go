package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// startAtEnd has a group that is new to a topic start at the end of its partitions. It
// commits where that is at once: otherwise a partition in which nothing has arrived
// until weir is started again would start at its end again, and what has arrived there
// meanwhile would be missed. A partition that was added to a topic is read from its
// begin.
func (c *consumption) startAtEnd(ctx context.Context, starts map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	known := c.client.CommittedOffsets()
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = 1 // before transactions that go on
	for name, partitions := range starts {
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic, topic.Partitions = name, uncommitted(partitions)
		if len(known[name]) == 0 && len(topic.Partitions) == len(partitions) {
			req.Topics = append(req.Topics, topic)
			continue
		}
		for _, p := range topic.Partitions {
			partitions[p.Partition] = kgo.NewOffset().AtStart()
		}
	}
	if len(req.Topics) == 0 {
		return starts, nil
	}
	return starts, c.commitEnds(ctx, req, starts)
}

// uncommitted are the partitions of which the group has committed nothing, with the
// question for their end.
func uncommitted(partitions map[int32]kgo.Offset) (list []kmsg.ListOffsetsRequestTopicPartition) {
	for number, start := range partitions {
		if start.EpochOffset().Offset < 0 {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = number, -1 // the end
			list = append(list, p)
		}
	}
	return list
}

// commitEnds commits what req asks for, and sets starts to it.
func (c *consumption) commitEnds(ctx context.Context, req *kmsg.ListOffsetsRequest, starts map[string]map[int32]kgo.Offset) error {
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return fmt.Errorf("find the end of topics: %w", err)
	}
	ends := make(map[string]map[int32]kgo.EpochOffset)
	for _, topic := range resp.Topics {
		ends[topic.Topic] = make(map[int32]kgo.EpochOffset)
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("find the end of topic %q, partition %d: %w", topic.Topic, p.Partition, err)
			}
			ends[topic.Topic][p.Partition] = kgo.EpochOffset{Epoch: p.LeaderEpoch, Offset: p.Offset}
			starts[topic.Topic][p.Partition] = kgo.NewOffset().At(p.Offset).WithEpoch(p.LeaderEpoch)
		}
	}
	c.client.CommitOffsetsSync(ctx, ends, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failed error) {
		err = failed
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if refused := kerr.ErrorForCode(p.ErrorCode); refused != nil {
					err = fmt.Errorf("commit the end of topic %q: %w", topic.Topic, refused)
				}
			}
		}
	})
	return err
}
