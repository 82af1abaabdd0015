#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
#include "PixelFormat.h"
enum TextureFilter { TF_Nearest, TF_Bilinear };
enum EBulkDataLockFlags { LOCK_READ_ONLY = 1, LOCK_READ_WRITE = 2 };
struct FByteBulkData { void* Lock(uint32); void Unlock() const; };
struct FTexture2DMipMap { FByteBulkData BulkData; };
struct FTexturePlatformData { TArray<FTexture2DMipMap> Mips; };
class UTexture : public UObject { public: uint8 SRGB : 1; TextureFilter Filter; virtual void UpdateResource(); };
class UTexture2D : public UTexture {
 public:
  static UTexture2D* CreateTransient(int32, int32, EPixelFormat = PF_B8G8R8A8);
  FTexturePlatformData* GetPlatformData();
};
