package objc

import "runtime"

// passSizesOnStack: see Caller.SendSizes.
const passSizesOnStack = runtime.GOARCH == "amd64"
