package stream

// PipesOnly returns o for streams that keep their handler's goroutine.
func PipesOnly(o Options) Options {
	o.pipesOnly = true
	return o
}
