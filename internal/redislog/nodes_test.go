package redislog_test

import (
	"testing"

	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// The tests of nodes that share one log are those of package nodetest.

func TestAllNodesAnswerAlike(t *testing.T) {
	nodetest.AllNodesAnswerAlike(t, startServer(t))
}

func TestNodesHaveOneOrder(t *testing.T) {
	nodetest.NodesHaveOneOrder(t, startServer(t))
}

func TestKeyIsUsedOnceOnAllNodes(t *testing.T) {
	nodetest.KeyIsUsedOnceOnAllNodes(t, startServer(t))
}

func TestValuesAreChangedOneAfterTheOther(t *testing.T) {
	nodetest.ValuesAreChangedOneAfterTheOther(t, startServer(t))
}

func TestResumeOnAnotherNode(t *testing.T) {
	nodetest.ResumeOnAnotherNode(t, startServer(t))
}

func TestReadersOfAllNodesGetEverythingOnce(t *testing.T) {
	nodetest.ReadersOfAllNodesGetEverythingOnce(t, startDurable(t))
}
