#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
struct IStreamingManager {
  static struct FStreamingManagerCollection& Get();
  virtual int32 GetNumWantingResources() const;
  virtual int32 GetNumWantingResourcesID() const;
};
struct FStreamingManagerCollection : public IStreamingManager { bool IsTextureStreamingEnabled() const; };
