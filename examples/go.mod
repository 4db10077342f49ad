module github.com/weirstream/weir/examples

go 1.26.0

require github.com/weirstream/weir v0.0.0

require golang.org/x/sys v0.49.0 // indirect

replace github.com/weirstream/weir => ../
