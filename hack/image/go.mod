module github.com/mre-operator/mre-operator/hack/image

go 1.26.0
