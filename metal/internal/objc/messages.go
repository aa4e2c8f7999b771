// Code generated from messages.txt by go generate; DO NOT EDIT.

package objc

const (
	NSObjectAlloc Message = iota
	NSObjectNew
	NSObjectRetain
	NSObjectRelease
	NSObjectRespondsToSelector
	NSStringInitWithBytes
	NSStringUTF8String
	NSURLFileURLWithPath
	NSErrorLocalizedDescription
	NSErrorCode
	NSErrorDomain
	NSErrorUserInfo
	NSArrayArrayWithObject
	NSArrayCount
	NSArrayObjectAtIndex
	NSDictionaryDictionaryWithObjects
	NSDictionaryObjectForKey
	NSDataBytes
	NSDataLength
	DeviceName
	DeviceArchitecture
	ArchitectureName
	DeviceRegistryID
	DeviceHasUnifiedMemory
	DeviceRecommendedMaxWorkingSetSize
	DeviceMaxBufferLength
	DeviceMaxThreadgroupMemoryLength
	DeviceMaxThreadsPerThreadgroup
	DeviceCurrentAllocatedSize
	DeviceSupportsFamily
	DeviceNewCommandQueueWithMaxCommandBufferCount
	DeviceNewBufferWithLength
	DeviceNewBufferWithBytesNoCopy
	DeviceNewLibraryWithSource
	DeviceNewLibraryWithURL
	DeviceNewComputePipelineStateWithDescriptor
	DeviceNewBinaryArchiveWithDescriptor
	DeviceNewResidencySetWithDescriptor
	DeviceNewSharedEvent
	DeviceNewFence
	DeviceCounterSets
	DeviceNewCounterSampleBufferWithDescriptor
	DeviceSupportsCounterSampling
	DeviceSampleTimestamps
	CompileOptionsSetLanguageVersion
	CompileOptionsSetFastMathEnabled
	CompileOptionsSetMathMode
	CompileOptionsSetMathFloatingPointFunctions
	CompileOptionsSetPreprocessorMacros
	LibraryFunctionNames
	LibrarySetLabel
	LibraryNewFunctionWithName
	LibraryNewFunctionWithNameConstantValuesError
	FunctionConstantValuesSetConstantValue
	ComputePipelineDescriptorSetLabel
	ComputePipelineDescriptorSetComputeFunction
	ComputePipelineDescriptorSetThreadGroupSizeIsMultipleOfThreadExecutionWidth
	ComputePipelineDescriptorSetMaxTotalThreadsPerThreadgroup
	ComputePipelineDescriptorSetBinaryArchives
	ComputePipelineStateMaxTotalThreadsPerThreadgroup
	ComputePipelineStateThreadExecutionWidth
	ComputePipelineStateStaticThreadgroupMemoryLength
	BinaryArchiveDescriptorSetUrl
	BinaryArchiveAddComputePipelineFunctionsWithDescriptor
	BinaryArchiveSerializeToURL
	BufferContents
	BufferGpuAddress
	ResourceSetLabel
	ResourceAllocatedSize
	ResidencySetDescriptorSetLabel
	ResidencySetDescriptorSetInitialCapacity
	ResidencySetAddAllocation
	ResidencySetRemoveAllocation
	ResidencySetRemoveAllAllocations
	ResidencySetCommit
	ResidencySetRequestResidency
	ResidencySetEndResidency
	ResidencySetAllocatedSize
	CommandQueueSetLabel
	CommandQueueCommandBufferWithDescriptor
	CommandQueueAddResidencySet
	CommandQueueRemoveResidencySet
	CommandBufferDescriptorSetRetainedReferences
	CommandBufferDescriptorSetErrorOptions
	CommandBufferSetLabel
	CommandBufferEnqueue
	CommandBufferCommit
	CommandBufferAddCompletedHandler
	CommandBufferWaitUntilCompleted
	CommandBufferStatus
	CommandBufferError
	CommandBufferGPUStartTime
	CommandBufferGPUEndTime
	CommandBufferComputeCommandEncoderWithDispatchType
	CommandBufferComputeCommandEncoderWithDescriptor
	CommandBufferBlitCommandEncoder
	CommandBufferEncodeSignalEvent
	CommandBufferEncodeWaitForEvent
	CommandBufferUseResidencySet
	CommandBufferEncoderInfoLabel
	CommandBufferEncoderInfoErrorState
	CommandEncoderSetLabel
	CommandEncoderEndEncoding
	CommandEncoderPushDebugGroup
	CommandEncoderPopDebugGroup
	ComputeCommandEncoderSetComputePipelineState
	ComputeCommandEncoderSetBytes
	ComputeCommandEncoderSetBuffer
	ComputeCommandEncoderSetBufferOffset
	ComputeCommandEncoderSetBuffers
	ComputeCommandEncoderSetThreadgroupMemoryLength
	ComputeCommandEncoderDispatchThreadgroups
	ComputeCommandEncoderDispatchThreads
	ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer
	ComputeCommandEncoderMemoryBarrierWithScope
	ComputeCommandEncoderMemoryBarrierWithResources
	ComputeCommandEncoderUpdateFence
	ComputeCommandEncoderWaitForFence
	BlitCommandEncoderUpdateFence
	BlitCommandEncoderWaitForFence
	BlitCommandEncoderCopyFromBuffer
	BlitCommandEncoderFillBuffer
	SharedEventSignaledValue
	SharedEventSetSignaledValue
	SharedEventWaitUntilSignaledValue
	ComputePassDescriptorComputePassDescriptor
	ComputePassDescriptorSetDispatchType
	ComputePassDescriptorSampleBufferAttachments
	ComputePassSampleBufferAttachmentDescriptorArrayObjectAtIndexedSubscript
	ComputePassSampleBufferAttachmentDescriptorSetSampleBuffer
	ComputePassSampleBufferAttachmentDescriptorSetStartOfEncoderSampleIndex
	ComputePassSampleBufferAttachmentDescriptorSetEndOfEncoderSampleIndex
	CounterSampleBufferDescriptorSetCounterSet
	CounterSampleBufferDescriptorSetStorageMode
	CounterSampleBufferDescriptorSetSampleCount
	CounterSampleBufferResolveCounterRange
	CounterSetName
	CaptureManagerSharedCaptureManager
	CaptureManagerSupportsDestination
	CaptureManagerStartCaptureWithDescriptor
	CaptureManagerStopCapture
	CaptureDescriptorSetCaptureObject
	CaptureDescriptorSetDestination
	CaptureDescriptorSetOutputURL
	numMessages
)

var messages = [numMessages]Decl{
	NSObjectAlloc:                      {Owner: "NSObject", Selector: "alloc", Class: true, Ret: Type{Object, "instancetype"}},
	NSObjectNew:                        {Owner: "NSObject", Selector: "new", Class: true, Ret: Type{Object, "instancetype"}},
	NSObjectRetain:                     {Owner: "NSObject", Selector: "retain", Ret: Type{Object, "instancetype"}},
	NSObjectRelease:                    {Owner: "NSObject", Selector: "release"},
	NSObjectRespondsToSelector:         {Owner: "NSObject", Selector: "respondsToSelector:", Ret: Type{Bool, "BOOL"}, Args: []Type{{Selector, "SEL"}}},
	NSStringInitWithBytes:              {Owner: "NSString", Selector: "initWithBytes:length:encoding:", Ret: Type{Object, "instancetype"}, Args: []Type{{Pointer, "void"}, {UInteger, "NSUInteger"}, {UInteger, "NSStringEncoding"}}},
	NSStringUTF8String:                 {Owner: "NSString", Selector: "UTF8String", Ret: Type{CString, "char"}},
	NSURLFileURLWithPath:               {Owner: "NSURL", Selector: "fileURLWithPath:", Class: true, Ret: Type{Object, "NSURL"}, Args: []Type{{Object, "NSString"}}},
	NSErrorLocalizedDescription:        {Owner: "NSError", Selector: "localizedDescription", Ret: Type{Object, "NSString"}},
	NSErrorCode:                        {Owner: "NSError", Selector: "code", Ret: Type{Integer, "NSInteger"}},
	NSErrorDomain:                      {Owner: "NSError", Selector: "domain", Ret: Type{Object, "NSString"}},
	NSErrorUserInfo:                    {Owner: "NSError", Selector: "userInfo", Ret: Type{Object, "NSDictionary"}},
	NSArrayArrayWithObject:             {Owner: "NSArray", Selector: "arrayWithObject:", Class: true, Ret: Type{Object, "instancetype"}, Args: []Type{{Object, "id"}}},
	NSArrayCount:                       {Owner: "NSArray", Selector: "count", Ret: Type{UInteger, "NSUInteger"}},
	NSArrayObjectAtIndex:               {Owner: "NSArray", Selector: "objectAtIndex:", Ret: Type{Object, "id"}, Args: []Type{{UInteger, "NSUInteger"}}},
	NSDictionaryDictionaryWithObjects:  {Owner: "NSDictionary", Selector: "dictionaryWithObjects:forKeys:count:", Class: true, Ret: Type{Object, "instancetype"}, Args: []Type{{ObjectArray, "id"}, {ObjectArray, "id"}, {UInteger, "NSUInteger"}}},
	NSDictionaryObjectForKey:           {Owner: "NSDictionary", Selector: "objectForKey:", Ret: Type{Object, "id"}, Args: []Type{{Object, "id"}}},
	NSDataBytes:                        {Owner: "NSData", Selector: "bytes", Ret: Type{Pointer, "void"}},
	NSDataLength:                       {Owner: "NSData", Selector: "length", Ret: Type{UInteger, "NSUInteger"}},
	DeviceName:                         {Owner: "MTLDevice", Selector: "name", Ret: Type{Object, "NSString"}},
	DeviceArchitecture:                 {Owner: "MTLDevice", Selector: "architecture", Ret: Type{Object, "MTLArchitecture"}},
	ArchitectureName:                   {Owner: "MTLArchitecture", Selector: "name", Ret: Type{Object, "NSString"}},
	DeviceRegistryID:                   {Owner: "MTLDevice", Selector: "registryID", Ret: Type{UInteger, "uint64_t"}},
	DeviceHasUnifiedMemory:             {Owner: "MTLDevice", Selector: "hasUnifiedMemory", Ret: Type{Bool, "BOOL"}},
	DeviceRecommendedMaxWorkingSetSize: {Owner: "MTLDevice", Selector: "recommendedMaxWorkingSetSize", Ret: Type{UInteger, "uint64_t"}},
	DeviceMaxBufferLength:              {Owner: "MTLDevice", Selector: "maxBufferLength", Ret: Type{UInteger, "NSUInteger"}},
	DeviceMaxThreadgroupMemoryLength:   {Owner: "MTLDevice", Selector: "maxThreadgroupMemoryLength", Ret: Type{UInteger, "NSUInteger"}},
	DeviceMaxThreadsPerThreadgroup:     {Owner: "MTLDevice", Selector: "maxThreadsPerThreadgroup", Ret: Type{Size, "MTLSize"}},
	DeviceCurrentAllocatedSize:         {Owner: "MTLDevice", Selector: "currentAllocatedSize", Ret: Type{UInteger, "NSUInteger"}},
	DeviceSupportsFamily:               {Owner: "MTLDevice", Selector: "supportsFamily:", Ret: Type{Bool, "BOOL"}, Args: []Type{{UInteger, "MTLGPUFamily"}}},
	DeviceNewCommandQueueWithMaxCommandBufferCount: {Owner: "MTLDevice", Selector: "newCommandQueueWithMaxCommandBufferCount:", Ret: Type{Object, "MTLCommandQueue"}, Args: []Type{{UInteger, "NSUInteger"}}},
	DeviceNewBufferWithLength:                      {Owner: "MTLDevice", Selector: "newBufferWithLength:options:", Ret: Type{Object, "MTLBuffer"}, Args: []Type{{UInteger, "NSUInteger"}, {UInteger, "MTLResourceOptions"}}},
	DeviceNewBufferWithBytesNoCopy:                 {Owner: "MTLDevice", Selector: "newBufferWithBytesNoCopy:length:options:deallocator:", Ret: Type{Object, "MTLBuffer"}, Args: []Type{{Pointer, "void"}, {UInteger, "NSUInteger"}, {UInteger, "MTLResourceOptions"}, {Kind: Block}}},
	DeviceNewLibraryWithSource:                     {Owner: "MTLDevice", Selector: "newLibraryWithSource:options:error:", Ret: Type{Object, "MTLLibrary"}, Args: []Type{{Object, "NSString"}, {Object, "MTLCompileOptions"}, {ObjectOut, "NSError"}}},
	DeviceNewLibraryWithURL:                        {Owner: "MTLDevice", Selector: "newLibraryWithURL:error:", Ret: Type{Object, "MTLLibrary"}, Args: []Type{{Object, "NSURL"}, {ObjectOut, "NSError"}}},
	DeviceNewComputePipelineStateWithDescriptor:    {Owner: "MTLDevice", Selector: "newComputePipelineStateWithDescriptor:options:reflection:error:", Ret: Type{Object, "MTLComputePipelineState"}, Args: []Type{{Object, "MTLComputePipelineDescriptor"}, {UInteger, "MTLPipelineOption"}, {ObjectOut, "MTLComputePipelineReflection"}, {ObjectOut, "NSError"}}},
	DeviceNewBinaryArchiveWithDescriptor:           {Owner: "MTLDevice", Selector: "newBinaryArchiveWithDescriptor:error:", Ret: Type{Object, "MTLBinaryArchive"}, Args: []Type{{Object, "MTLBinaryArchiveDescriptor"}, {ObjectOut, "NSError"}}},
	DeviceNewResidencySetWithDescriptor:            {Owner: "MTLDevice", Selector: "newResidencySetWithDescriptor:error:", Ret: Type{Object, "MTLResidencySet"}, Args: []Type{{Object, "MTLResidencySetDescriptor"}, {ObjectOut, "NSError"}}},
	DeviceNewSharedEvent:                           {Owner: "MTLDevice", Selector: "newSharedEvent", Ret: Type{Object, "MTLSharedEvent"}},
	DeviceNewFence:                                 {Owner: "MTLDevice", Selector: "newFence", Ret: Type{Object, "MTLFence"}},
	DeviceCounterSets:                              {Owner: "MTLDevice", Selector: "counterSets", Ret: Type{Object, "NSArray"}},
	DeviceNewCounterSampleBufferWithDescriptor:     {Owner: "MTLDevice", Selector: "newCounterSampleBufferWithDescriptor:error:", Ret: Type{Object, "MTLCounterSampleBuffer"}, Args: []Type{{Object, "MTLCounterSampleBufferDescriptor"}, {ObjectOut, "NSError"}}},
	DeviceSupportsCounterSampling:                  {Owner: "MTLDevice", Selector: "supportsCounterSampling:", Ret: Type{Bool, "BOOL"}, Args: []Type{{UInteger, "MTLCounterSamplingPoint"}}},
	DeviceSampleTimestamps:                         {Owner: "MTLDevice", Selector: "sampleTimestamps:gpuTimestamp:", Args: []Type{{Words, "MTLTimestamp"}, {Words, "MTLTimestamp"}}},
	CompileOptionsSetLanguageVersion:               {Owner: "MTLCompileOptions", Selector: "setLanguageVersion:", Args: []Type{{UInteger, "MTLLanguageVersion"}}},
	CompileOptionsSetFastMathEnabled:               {Owner: "MTLCompileOptions", Selector: "setFastMathEnabled:", Args: []Type{{Bool, "BOOL"}}},
	CompileOptionsSetMathMode:                      {Owner: "MTLCompileOptions", Selector: "setMathMode:", Args: []Type{{UInteger, "MTLMathMode"}}},
	CompileOptionsSetMathFloatingPointFunctions:    {Owner: "MTLCompileOptions", Selector: "setMathFloatingPointFunctions:", Args: []Type{{UInteger, "MTLMathFloatingPointFunctions"}}},
	CompileOptionsSetPreprocessorMacros:            {Owner: "MTLCompileOptions", Selector: "setPreprocessorMacros:", Args: []Type{{Object, "NSDictionary"}}},
	LibraryFunctionNames:                           {Owner: "MTLLibrary", Selector: "functionNames", Ret: Type{Object, "NSArray"}},
	LibrarySetLabel:                                {Owner: "MTLLibrary", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	LibraryNewFunctionWithName:                     {Owner: "MTLLibrary", Selector: "newFunctionWithName:", Ret: Type{Object, "MTLFunction"}, Args: []Type{{Object, "NSString"}}},
	LibraryNewFunctionWithNameConstantValuesError:  {Owner: "MTLLibrary", Selector: "newFunctionWithName:constantValues:error:", Ret: Type{Object, "MTLFunction"}, Args: []Type{{Object, "NSString"}, {Object, "MTLFunctionConstantValues"}, {ObjectOut, "NSError"}}},
	FunctionConstantValuesSetConstantValue:         {Owner: "MTLFunctionConstantValues", Selector: "setConstantValue:type:atIndex:", Args: []Type{{Pointer, "void"}, {UInteger, "MTLDataType"}, {UInteger, "NSUInteger"}}},
	ComputePipelineDescriptorSetLabel:              {Owner: "MTLComputePipelineDescriptor", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	ComputePipelineDescriptorSetComputeFunction:    {Owner: "MTLComputePipelineDescriptor", Selector: "setComputeFunction:", Args: []Type{{Object, "MTLFunction"}}},
	ComputePipelineDescriptorSetThreadGroupSizeIsMultipleOfThreadExecutionWidth: {Owner: "MTLComputePipelineDescriptor", Selector: "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", Args: []Type{{Bool, "BOOL"}}},
	ComputePipelineDescriptorSetMaxTotalThreadsPerThreadgroup:                   {Owner: "MTLComputePipelineDescriptor", Selector: "setMaxTotalThreadsPerThreadgroup:", Args: []Type{{UInteger, "NSUInteger"}}},
	ComputePipelineDescriptorSetBinaryArchives:                                  {Owner: "MTLComputePipelineDescriptor", Selector: "setBinaryArchives:", Args: []Type{{Object, "NSArray"}}},
	ComputePipelineStateMaxTotalThreadsPerThreadgroup:                           {Owner: "MTLComputePipelineState", Selector: "maxTotalThreadsPerThreadgroup", Ret: Type{UInteger, "NSUInteger"}},
	ComputePipelineStateThreadExecutionWidth:                                    {Owner: "MTLComputePipelineState", Selector: "threadExecutionWidth", Ret: Type{UInteger, "NSUInteger"}},
	ComputePipelineStateStaticThreadgroupMemoryLength:                           {Owner: "MTLComputePipelineState", Selector: "staticThreadgroupMemoryLength", Ret: Type{UInteger, "NSUInteger"}},
	BinaryArchiveDescriptorSetUrl:                                               {Owner: "MTLBinaryArchiveDescriptor", Selector: "setUrl:", Args: []Type{{Object, "NSURL"}}},
	BinaryArchiveAddComputePipelineFunctionsWithDescriptor:                      {Owner: "MTLBinaryArchive", Selector: "addComputePipelineFunctionsWithDescriptor:error:", Ret: Type{Bool, "BOOL"}, Args: []Type{{Object, "MTLComputePipelineDescriptor"}, {ObjectOut, "NSError"}}},
	BinaryArchiveSerializeToURL:                                                 {Owner: "MTLBinaryArchive", Selector: "serializeToURL:error:", Ret: Type{Bool, "BOOL"}, Args: []Type{{Object, "NSURL"}, {ObjectOut, "NSError"}}},
	BufferContents:                                                              {Owner: "MTLBuffer", Selector: "contents", Ret: Type{Pointer, "void"}},
	BufferGpuAddress:                                                            {Owner: "MTLBuffer", Selector: "gpuAddress", Ret: Type{UInteger, "uint64_t"}},
	ResourceSetLabel:                                                            {Owner: "MTLResource", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	ResourceAllocatedSize:                                                       {Owner: "MTLResource", Selector: "allocatedSize", Ret: Type{UInteger, "NSUInteger"}},
	ResidencySetDescriptorSetLabel:                                              {Owner: "MTLResidencySetDescriptor", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	ResidencySetDescriptorSetInitialCapacity:                                    {Owner: "MTLResidencySetDescriptor", Selector: "setInitialCapacity:", Args: []Type{{UInteger, "NSUInteger"}}},
	ResidencySetAddAllocation:                                                   {Owner: "MTLResidencySet", Selector: "addAllocation:", Args: []Type{{Object, "MTLAllocation"}}},
	ResidencySetRemoveAllocation:                                                {Owner: "MTLResidencySet", Selector: "removeAllocation:", Args: []Type{{Object, "MTLAllocation"}}},
	ResidencySetRemoveAllAllocations:                                            {Owner: "MTLResidencySet", Selector: "removeAllAllocations"},
	ResidencySetCommit:                                                          {Owner: "MTLResidencySet", Selector: "commit"},
	ResidencySetRequestResidency:                                                {Owner: "MTLResidencySet", Selector: "requestResidency"},
	ResidencySetEndResidency:                                                    {Owner: "MTLResidencySet", Selector: "endResidency"},
	ResidencySetAllocatedSize:                                                   {Owner: "MTLResidencySet", Selector: "allocatedSize", Ret: Type{UInteger, "uint64_t"}},
	CommandQueueSetLabel:                                                        {Owner: "MTLCommandQueue", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	CommandQueueCommandBufferWithDescriptor:                                     {Owner: "MTLCommandQueue", Selector: "commandBufferWithDescriptor:", Ret: Type{Object, "MTLCommandBuffer"}, Args: []Type{{Object, "MTLCommandBufferDescriptor"}}},
	CommandQueueAddResidencySet:                                                 {Owner: "MTLCommandQueue", Selector: "addResidencySet:", Args: []Type{{Object, "MTLResidencySet"}}},
	CommandQueueRemoveResidencySet:                                              {Owner: "MTLCommandQueue", Selector: "removeResidencySet:", Args: []Type{{Object, "MTLResidencySet"}}},
	CommandBufferDescriptorSetRetainedReferences:                                {Owner: "MTLCommandBufferDescriptor", Selector: "setRetainedReferences:", Args: []Type{{Bool, "BOOL"}}},
	CommandBufferDescriptorSetErrorOptions:                                      {Owner: "MTLCommandBufferDescriptor", Selector: "setErrorOptions:", Args: []Type{{UInteger, "MTLCommandBufferErrorOption"}}},
	CommandBufferSetLabel:                                                       {Owner: "MTLCommandBuffer", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	CommandBufferEnqueue:                                                        {Owner: "MTLCommandBuffer", Selector: "enqueue"},
	CommandBufferCommit:                                                         {Owner: "MTLCommandBuffer", Selector: "commit"},
	CommandBufferAddCompletedHandler:                                            {Owner: "MTLCommandBuffer", Selector: "addCompletedHandler:", Args: []Type{{Block, "MTLCommandBufferHandler"}}},
	CommandBufferWaitUntilCompleted:                                             {Owner: "MTLCommandBuffer", Selector: "waitUntilCompleted"},
	CommandBufferStatus:                                                         {Owner: "MTLCommandBuffer", Selector: "status", Ret: Type{UInteger, "MTLCommandBufferStatus"}},
	CommandBufferError:                                                          {Owner: "MTLCommandBuffer", Selector: "error", Ret: Type{Object, "NSError"}},
	CommandBufferGPUStartTime:                                                   {Owner: "MTLCommandBuffer", Selector: "GPUStartTime", Ret: Type{Double, "CFTimeInterval"}},
	CommandBufferGPUEndTime:                                                     {Owner: "MTLCommandBuffer", Selector: "GPUEndTime", Ret: Type{Double, "CFTimeInterval"}},
	CommandBufferComputeCommandEncoderWithDispatchType:                          {Owner: "MTLCommandBuffer", Selector: "computeCommandEncoderWithDispatchType:", Ret: Type{Object, "MTLComputeCommandEncoder"}, Args: []Type{{UInteger, "MTLDispatchType"}}},
	CommandBufferComputeCommandEncoderWithDescriptor:                            {Owner: "MTLCommandBuffer", Selector: "computeCommandEncoderWithDescriptor:", Ret: Type{Object, "MTLComputeCommandEncoder"}, Args: []Type{{Object, "MTLComputePassDescriptor"}}},
	CommandBufferBlitCommandEncoder:                                             {Owner: "MTLCommandBuffer", Selector: "blitCommandEncoder", Ret: Type{Object, "MTLBlitCommandEncoder"}},
	CommandBufferEncodeSignalEvent:                                              {Owner: "MTLCommandBuffer", Selector: "encodeSignalEvent:value:", Args: []Type{{Object, "MTLEvent"}, {UInteger, "uint64_t"}}},
	CommandBufferEncodeWaitForEvent:                                             {Owner: "MTLCommandBuffer", Selector: "encodeWaitForEvent:value:", Args: []Type{{Object, "MTLEvent"}, {UInteger, "uint64_t"}}},
	CommandBufferUseResidencySet:                                                {Owner: "MTLCommandBuffer", Selector: "useResidencySet:", Args: []Type{{Object, "MTLResidencySet"}}},
	CommandBufferEncoderInfoLabel:                                               {Owner: "MTLCommandBufferEncoderInfo", Selector: "label", Ret: Type{Object, "NSString"}},
	CommandBufferEncoderInfoErrorState:                                          {Owner: "MTLCommandBufferEncoderInfo", Selector: "errorState", Ret: Type{UInteger, "MTLCommandEncoderErrorState"}},
	CommandEncoderSetLabel:                                                      {Owner: "MTLCommandEncoder", Selector: "setLabel:", Args: []Type{{Object, "NSString"}}},
	CommandEncoderEndEncoding:                                                   {Owner: "MTLCommandEncoder", Selector: "endEncoding"},
	CommandEncoderPushDebugGroup:                                                {Owner: "MTLCommandEncoder", Selector: "pushDebugGroup:", Args: []Type{{Object, "NSString"}}},
	CommandEncoderPopDebugGroup:                                                 {Owner: "MTLCommandEncoder", Selector: "popDebugGroup"},
	ComputeCommandEncoderSetComputePipelineState:                                {Owner: "MTLComputeCommandEncoder", Selector: "setComputePipelineState:", Args: []Type{{Object, "MTLComputePipelineState"}}},
	ComputeCommandEncoderSetBytes:                                               {Owner: "MTLComputeCommandEncoder", Selector: "setBytes:length:atIndex:", Args: []Type{{Pointer, "void"}, {UInteger, "NSUInteger"}, {UInteger, "NSUInteger"}}},
	ComputeCommandEncoderSetBuffer:                                              {Owner: "MTLComputeCommandEncoder", Selector: "setBuffer:offset:atIndex:", Args: []Type{{Object, "MTLBuffer"}, {UInteger, "NSUInteger"}, {UInteger, "NSUInteger"}}},
	ComputeCommandEncoderSetBufferOffset:                                        {Owner: "MTLComputeCommandEncoder", Selector: "setBufferOffset:atIndex:", Args: []Type{{UInteger, "NSUInteger"}, {UInteger, "NSUInteger"}}},
	ComputeCommandEncoderSetBuffers:                                             {Owner: "MTLComputeCommandEncoder", Selector: "setBuffers:offsets:withRange:", Args: []Type{{ObjectArray, "MTLBuffer"}, {UIntegerList, "NSUInteger"}, {Range, "NSRange"}}},
	ComputeCommandEncoderSetThreadgroupMemoryLength:                             {Owner: "MTLComputeCommandEncoder", Selector: "setThreadgroupMemoryLength:atIndex:", Args: []Type{{UInteger, "NSUInteger"}, {UInteger, "NSUInteger"}}},
	ComputeCommandEncoderDispatchThreadgroups:                                   {Owner: "MTLComputeCommandEncoder", Selector: "dispatchThreadgroups:threadsPerThreadgroup:", Args: []Type{{Size, "MTLSize"}, {Size, "MTLSize"}}},
	ComputeCommandEncoderDispatchThreads:                                        {Owner: "MTLComputeCommandEncoder", Selector: "dispatchThreads:threadsPerThreadgroup:", Args: []Type{{Size, "MTLSize"}, {Size, "MTLSize"}}},
	ComputeCommandEncoderDispatchThreadgroupsWithIndirectBuffer:                 {Owner: "MTLComputeCommandEncoder", Selector: "dispatchThreadgroupsWithIndirectBuffer:indirectBufferOffset:threadsPerThreadgroup:", Args: []Type{{Object, "MTLBuffer"}, {UInteger, "NSUInteger"}, {Size, "MTLSize"}}},
	ComputeCommandEncoderMemoryBarrierWithScope:                                 {Owner: "MTLComputeCommandEncoder", Selector: "memoryBarrierWithScope:", Args: []Type{{UInteger, "MTLBarrierScope"}}},
	ComputeCommandEncoderMemoryBarrierWithResources:                             {Owner: "MTLComputeCommandEncoder", Selector: "memoryBarrierWithResources:count:", Args: []Type{{ObjectArray, "MTLResource"}, {UInteger, "NSUInteger"}}},
	ComputeCommandEncoderUpdateFence:                                            {Owner: "MTLComputeCommandEncoder", Selector: "updateFence:", Args: []Type{{Object, "MTLFence"}}},
	ComputeCommandEncoderWaitForFence:                                           {Owner: "MTLComputeCommandEncoder", Selector: "waitForFence:", Args: []Type{{Object, "MTLFence"}}},
	BlitCommandEncoderUpdateFence:                                               {Owner: "MTLBlitCommandEncoder", Selector: "updateFence:", Args: []Type{{Object, "MTLFence"}}},
	BlitCommandEncoderWaitForFence:                                              {Owner: "MTLBlitCommandEncoder", Selector: "waitForFence:", Args: []Type{{Object, "MTLFence"}}},
	BlitCommandEncoderCopyFromBuffer:                                            {Owner: "MTLBlitCommandEncoder", Selector: "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", Args: []Type{{Object, "MTLBuffer"}, {UInteger, "NSUInteger"}, {Object, "MTLBuffer"}, {UInteger, "NSUInteger"}, {UInteger, "NSUInteger"}}},
	BlitCommandEncoderFillBuffer:                                                {Owner: "MTLBlitCommandEncoder", Selector: "fillBuffer:range:value:", Args: []Type{{Object, "MTLBuffer"}, {Range, "NSRange"}, {Byte, "uint8_t"}}},
	SharedEventSignaledValue:                                                    {Owner: "MTLSharedEvent", Selector: "signaledValue", Ret: Type{UInteger, "uint64_t"}},
	SharedEventSetSignaledValue:                                                 {Owner: "MTLSharedEvent", Selector: "setSignaledValue:", Args: []Type{{UInteger, "uint64_t"}}},
	SharedEventWaitUntilSignaledValue:                                           {Owner: "MTLSharedEvent", Selector: "waitUntilSignaledValue:timeoutMS:", Ret: Type{Bool, "BOOL"}, Args: []Type{{UInteger, "uint64_t"}, {UInteger, "uint64_t"}}},
	ComputePassDescriptorComputePassDescriptor:                                  {Owner: "MTLComputePassDescriptor", Selector: "computePassDescriptor", Class: true, Ret: Type{Object, "MTLComputePassDescriptor"}},
	ComputePassDescriptorSetDispatchType:                                        {Owner: "MTLComputePassDescriptor", Selector: "setDispatchType:", Args: []Type{{UInteger, "MTLDispatchType"}}},
	ComputePassDescriptorSampleBufferAttachments:                                {Owner: "MTLComputePassDescriptor", Selector: "sampleBufferAttachments", Ret: Type{Object, "MTLComputePassSampleBufferAttachmentDescriptorArray"}},
	ComputePassSampleBufferAttachmentDescriptorArrayObjectAtIndexedSubscript:    {Owner: "MTLComputePassSampleBufferAttachmentDescriptorArray", Selector: "objectAtIndexedSubscript:", Ret: Type{Object, "MTLComputePassSampleBufferAttachmentDescriptor"}, Args: []Type{{UInteger, "NSUInteger"}}},
	ComputePassSampleBufferAttachmentDescriptorSetSampleBuffer:                  {Owner: "MTLComputePassSampleBufferAttachmentDescriptor", Selector: "setSampleBuffer:", Args: []Type{{Object, "MTLCounterSampleBuffer"}}},
	ComputePassSampleBufferAttachmentDescriptorSetStartOfEncoderSampleIndex:     {Owner: "MTLComputePassSampleBufferAttachmentDescriptor", Selector: "setStartOfEncoderSampleIndex:", Args: []Type{{UInteger, "NSUInteger"}}},
	ComputePassSampleBufferAttachmentDescriptorSetEndOfEncoderSampleIndex:       {Owner: "MTLComputePassSampleBufferAttachmentDescriptor", Selector: "setEndOfEncoderSampleIndex:", Args: []Type{{UInteger, "NSUInteger"}}},
	CounterSampleBufferDescriptorSetCounterSet:                                  {Owner: "MTLCounterSampleBufferDescriptor", Selector: "setCounterSet:", Args: []Type{{Object, "MTLCounterSet"}}},
	CounterSampleBufferDescriptorSetStorageMode:                                 {Owner: "MTLCounterSampleBufferDescriptor", Selector: "setStorageMode:", Args: []Type{{UInteger, "MTLStorageMode"}}},
	CounterSampleBufferDescriptorSetSampleCount:                                 {Owner: "MTLCounterSampleBufferDescriptor", Selector: "setSampleCount:", Args: []Type{{UInteger, "NSUInteger"}}},
	CounterSampleBufferResolveCounterRange:                                      {Owner: "MTLCounterSampleBuffer", Selector: "resolveCounterRange:", Ret: Type{Object, "NSData"}, Args: []Type{{Range, "NSRange"}}},
	CounterSetName:                                                              {Owner: "MTLCounterSet", Selector: "name", Ret: Type{Object, "NSString"}},
	CaptureManagerSharedCaptureManager:                                          {Owner: "MTLCaptureManager", Selector: "sharedCaptureManager", Class: true, Ret: Type{Object, "MTLCaptureManager"}},
	CaptureManagerSupportsDestination:                                           {Owner: "MTLCaptureManager", Selector: "supportsDestination:", Ret: Type{Bool, "BOOL"}, Args: []Type{{UInteger, "MTLCaptureDestination"}}},
	CaptureManagerStartCaptureWithDescriptor:                                    {Owner: "MTLCaptureManager", Selector: "startCaptureWithDescriptor:error:", Ret: Type{Bool, "BOOL"}, Args: []Type{{Object, "MTLCaptureDescriptor"}, {ObjectOut, "NSError"}}},
	CaptureManagerStopCapture:                                                   {Owner: "MTLCaptureManager", Selector: "stopCapture"},
	CaptureDescriptorSetCaptureObject:                                           {Owner: "MTLCaptureDescriptor", Selector: "setCaptureObject:", Args: []Type{{Object, "id"}}},
	CaptureDescriptorSetDestination:                                             {Owner: "MTLCaptureDescriptor", Selector: "setDestination:", Args: []Type{{UInteger, "MTLCaptureDestination"}}},
	CaptureDescriptorSetOutputURL:                                               {Owner: "MTLCaptureDescriptor", Selector: "setOutputURL:", Args: []Type{{Object, "NSURL"}}},
}
