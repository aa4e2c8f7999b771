package objc

// Values of Metal's enumerations under Apple's own names; decl's test holds them against darwinkit.

const (
	MTLGPUFamilyApple7  = 1007
	MTLGPUFamilyApple8  = 1008
	MTLGPUFamilyApple9  = 1009
	MTLGPUFamilyApple10 = 1010
	MTLGPUFamilyMac2    = 2002
	MTLGPUFamilyCommon1 = 3001
	MTLGPUFamilyCommon2 = 3002
	MTLGPUFamilyCommon3 = 3003
	MTLGPUFamilyMetal3  = 5001
	MTLGPUFamilyMetal4  = 5002
)

const (
	MTLLanguageVersion2_4 = 0x20004
	MTLLanguageVersion3_0 = 0x30000
	MTLLanguageVersion3_1 = 0x30001
	MTLLanguageVersion3_2 = 0x30002
	MTLLanguageVersion4_0 = 0x40000
)

const (
	MTLMathModeSafe    = 0
	MTLMathModeRelaxed = 1
	MTLMathModeFast    = 2

	MTLMathFloatingPointFunctionsFast    = 0
	MTLMathFloatingPointFunctionsPrecise = 1
)

const (
	MTLResourceStorageModeShared         = 0
	MTLResourceStorageModePrivate        = 32
	MTLResourceCPUCacheModeWriteCombined = 1
	MTLResourceHazardTrackingModeDefault = 0

	MTLResourceHazardTrackingModeUntracked = 256
	MTLResourceHazardTrackingModeTracked   = 512

	MTLStorageModeShared = 0
)

const (
	MTLDispatchTypeSerial     = 0
	MTLDispatchTypeConcurrent = 1

	MTLBarrierScopeBuffers = 1
)

const (
	MTLCommandBufferStatusNotEnqueued = 0
	MTLCommandBufferStatusEnqueued    = 1
	MTLCommandBufferStatusCommitted   = 2
	MTLCommandBufferStatusScheduled   = 3
	MTLCommandBufferStatusCompleted   = 4
	MTLCommandBufferStatusError       = 5

	MTLCommandBufferErrorInternal        = 1
	MTLCommandBufferErrorTimeout         = 2
	MTLCommandBufferErrorPageFault       = 3
	MTLCommandBufferErrorAccessRevoked   = 4
	MTLCommandBufferErrorNotPermitted    = 7
	MTLCommandBufferErrorOutOfMemory     = 8
	MTLCommandBufferErrorInvalidResource = 9
	MTLCommandBufferErrorDeviceRemoved   = 11
	MTLCommandBufferErrorStackOverflow   = 12

	MTLCommandBufferErrorOptionEncoderExecutionStatus = 1

	MTLCommandEncoderErrorStateUnknown   = 0
	MTLCommandEncoderErrorStateCompleted = 1
	MTLCommandEncoderErrorStateAffected  = 2
	MTLCommandEncoderErrorStatePending   = 3
	MTLCommandEncoderErrorStateFaulted   = 4
)

const (
	MTLDataTypeFloat  = 3
	MTLDataTypeHalf   = 16
	MTLDataTypeInt    = 29
	MTLDataTypeUInt   = 33
	MTLDataTypeShort  = 37
	MTLDataTypeUShort = 41
	MTLDataTypeChar   = 45
	MTLDataTypeUChar  = 49
	MTLDataTypeBool   = 53
	MTLDataTypeLong   = 81
	MTLDataTypeULong  = 85
	MTLDataTypeBFloat = 121
)

const (
	MTLPipelineOptionNone                    = 0
	MTLPipelineOptionFailOnBinaryArchiveMiss = 4

	MTLCounterSamplingPointAtStageBoundary    = 0
	MTLCounterSamplingPointAtDispatchBoundary = 2

	MTLCaptureDestinationGPUTraceDocument = 2
)
