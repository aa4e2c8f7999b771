module github.com/gollm/gollm

go 1.26.0
