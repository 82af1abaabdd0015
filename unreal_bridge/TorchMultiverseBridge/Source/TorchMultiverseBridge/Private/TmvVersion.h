// The one place for what differs between Unreal 5.0 and 5.7. No other file looks at the engine's version.
#pragma once

#include "Runtime/Launch/Resources/Version.h"

#define TMV_UE_AT_LEAST(Minor) (ENGINE_MAJOR_VERSION > 5 || (ENGINE_MAJOR_VERSION == 5 && ENGINE_MINOR_VERSION >= (Minor)))

#if ENGINE_MAJOR_VERSION < 5
#error "TorchMultiverseBridge is for Unreal 5.0 and later"
#endif

// Which Pixel Streaming the build has: 0 (none), 1 or 2. TorchMultiverseBridge.Build.cs decides.
#ifndef TMV_PIXEL_STREAMING
#define TMV_PIXEL_STREAMING 0
#endif

// Pipeline states that are compiled ahead of their first use: precaching came with 5.1.
#define TMV_HAS_PSO_PRECACHING TMV_UE_AT_LEAST(1)

// FHitResult: in Engine/EngineTypes.h until 5.0, in a header of its own from 5.1.
#define TMV_HAS_HIT_RESULT_HEADER TMV_UE_AT_LEAST(1)
