// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

// asserted notes every reason that a test expected and got. A run of all tests fails when one of the API's
// reasons is not among them: a reason that nothing can produce, or that nobody has looked at, does not stay.
var asserted sync.Map

// wholeSuite is set when every spec ran and passed.
var wholeSuite atomic.Bool

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if code == 0 && wholeSuite.Load() && flag.Lookup("test.run").Value.String() == "" &&
		flag.Lookup("test.skip").Value.String() == "" {
		if missing := neverAsserted(); len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: no test has produced these reasons: %s\n", strings.Join(missing, ", "))
			code = 1
		}
	}
	os.Exit(code)
}

var _ = ReportAfterSuite("reasons", func(r Report) {
	ran := r.SpecReports.WithState(types.SpecStatePassed)
	wholeSuite.Store(r.SuiteSucceeded && len(ran) >= r.PreRunStats.TotalSpecs)
})

// neverAsserted lists the values of the API's Reason constants that no test has met.
func neverAsserted() []string {
	tree, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join("..", "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var missing []string
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if _, met := asserted.Load(value); !met || err != nil {
			missing = append(missing, value)
		}
		return true
	})
	slices.Sort(missing)
	return missing
}

// expecting notes a reason once its matcher has matched.
type expecting struct {
	gomegatypes.GomegaMatcher
	reason string
}

func (e expecting) Match(actual any) (bool, error) {
	ok, err := e.GomegaMatcher.Match(actual)
	if ok && err == nil {
		asserted.Store(e.reason, true)
	}
	return ok, err
}

// is matches a condition by its status and reason, and by parts of its message.
func is(status metav1.ConditionStatus, reason string, says ...string) gomegatypes.GomegaMatcher {
	all := []gomegatypes.GomegaMatcher{HaveField("Status", status), HaveField("Reason", reason)}
	for _, part := range says {
		all = append(all, HaveField("Message", ContainSubstring(part)))
	}
	return expecting{And(all...), reason}
}

// tells matches the reasons of Kubernetes Events that have been told.
func tells(reason string) gomegatypes.GomegaMatcher { return expecting{ContainElement(reason), reason} }
