#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
struct FCompression {
  static int32 CompressMemoryBound(FName, int32, int32 = 0, int32 = 0);
  static bool CompressMemory(FName, void*, int32&, const void*, int32, int32 = 0, int32 = 0);
};
