#pragma once
#include "TmvStub.h"
TMV_STUB(5, 7)
#include "CoreMinimal.h"
class IPixelStreaming2Streamer {
 public:
  virtual ~IPixelStreaming2Streamer() = default;
  virtual void SendAllPlayersMessage(FString, const FString&) = 0;
  virtual void SendFileData(const TArray64<uint8>&, FString&, FString&) = 0;
};
