#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Engine/LevelStreaming.h"
#include "UObject/SoftObjectPtr.h"
class ULevelStreamingDynamic : public ULevelStreaming {
 public:
  static ULevelStreamingDynamic* LoadLevelInstanceBySoftObjectPtr(UObject*, TSoftObjectPtr<UWorld>, FVector, FRotator, bool&);
};
