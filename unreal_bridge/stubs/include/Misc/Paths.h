#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class FPaths { public: static FString GetBaseFilename(const FString&, bool = true); template <typename A, typename B> static FString Combine(const A&, const B&); };
