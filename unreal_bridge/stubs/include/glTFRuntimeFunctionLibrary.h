#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "glTFRuntimeAsset.h"
class UglTFRuntimeFunctionLibrary : public UObject { public: static UglTFRuntimeAsset* glTFLoadAssetFromFilename(const FString&, const bool, const FglTFRuntimeConfig&); };
