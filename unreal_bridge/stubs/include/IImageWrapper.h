#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
enum class ERGBFormat : int8 { Invalid = -1, RGBA = 0, BGRA = 1, Gray = 2 };
enum class EImageFormat : int8 { Invalid = -1, PNG = 0, JPEG };
class IImageWrapper {
 public:
  virtual bool SetRaw(const void*, int64, const int32, const int32, const ERGBFormat, const int32, const int32 = 0) = 0;
  virtual TArray64<uint8> GetCompressed(int32 = 0) = 0;
};
