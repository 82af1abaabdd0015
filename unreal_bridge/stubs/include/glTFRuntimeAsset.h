#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UStaticMesh;
struct FglTFRuntimeConfig {};
struct FglTFRuntimeStaticMeshConfig {};
class UglTFRuntimeAsset : public UObject {
 public:
  UStaticMesh* LoadStaticMeshRecursive(const FString&, const TArray<FString>&, const FglTFRuntimeStaticMeshConfig&);
};
