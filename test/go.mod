// The nested module holds tests and benchmarks whose dependencies do not ship.
module github.com/multi-registry-push/multi-registry-push/test

go 1.26.0

replace github.com/multi-registry-push/multi-registry-push => ../
