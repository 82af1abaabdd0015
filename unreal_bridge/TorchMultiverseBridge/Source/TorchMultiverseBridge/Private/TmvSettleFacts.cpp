#include "TmvSettleFacts.h"

#include "ContentStreaming.h"
#include "Engine/LevelStreaming.h"
#include "Engine/World.h"
#include "PipelineStateCache.h"
#include "ShaderPipelineCache.h"
#include "UObject/UObjectGlobals.h"

#if WITH_EDITOR
#include "ShaderCompiler.h"
#endif

#include "TmvVersion.h"

namespace
{
	constexpr int32 MostFramesForACount = 120;  // the streamer counts every few frames; where it is off it never does

	uint32 PendingLevels(const UWorld& World)
	{
		uint32 Pending = 0;
		for (const ULevelStreaming* Level : World.GetStreamingLevels())
		{
			const bool bWaits = Level
				&& ((Level->ShouldBeLoaded() && !Level->IsLevelLoaded())
					|| (Level->ShouldBeVisible() && !Level->IsLevelVisible()));
			Pending += bWaits ? 1 : 0;
		}
		return Pending;
	}

	uint32 PendingShaders()
	{
		uint32 Pending = FShaderPipelineCache::NumPrecompilesRemaining();
#if TMV_HAS_PSO_PRECACHING
		Pending += PipelineStateCache::NumActivePrecacheRequests();
#endif
#if WITH_EDITOR
		if (GShaderCompilingManager)
		{
			Pending += static_cast<uint32>(GShaderCompilingManager->GetNumRemainingJobs());
		}
#endif
		return Pending;
	}
}

void FTmvSettleFacts::Changed()
{
	CountedAtChange = IStreamingManager::Get().GetNumWantingResourcesID();
	bCountIsOld = true;
	FramesSince = 0;
}

tmv::Facts FTmvSettleFacts::Look(const UWorld& World)
{
	FStreamingManagerCollection& Streaming = IStreamingManager::Get();
	if (bCountIsOld)
	{
		++FramesSince;
		bCountIsOld = Streaming.GetNumWantingResourcesID() == CountedAtChange && FramesSince < MostFramesForACount
			&& Streaming.IsTextureStreamingEnabled();
	}
	tmv::Facts Facts;
	Facts.levels = PendingLevels(World);
	Facts.textures = static_cast<uint32>(FMath::Max(0, Streaming.GetNumWantingResources())) + (bCountIsOld ? 1 : 0);
	Facts.shaders = PendingShaders();
	Facts.other = IsAsyncLoading() ? static_cast<uint32>(FMath::Max(1, GetNumAsyncPackages())) : 0;
	return Facts;
}
