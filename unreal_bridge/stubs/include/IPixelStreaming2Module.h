#pragma once
#include "TmvStub.h"
TMV_STUB(5, 7)
#include "CoreMinimal.h"
#include "Modules/ModuleInterface.h"
class IPixelStreaming2Streamer;
class IPixelStreaming2Module : public IModuleInterface {
 public:
  static IPixelStreaming2Module& Get();
  static bool IsAvailable();
  virtual FString GetDefaultStreamerID() = 0;
  virtual TSharedPtr<IPixelStreaming2Streamer> FindStreamer(const FString&) = 0;
};
