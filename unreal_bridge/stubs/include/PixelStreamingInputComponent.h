#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/ActorComponent.h"
class UPixelStreamingInput : public UActorComponent {
 public:
  // A dynamic multicast delegate of one parameter, const FString& Descriptor.
  struct FOnInput { template <typename T> void AddDynamic(T*, void (T::*)(const FString&)); };
  FOnInput OnInputEvent;
  void SendPixelStreamingResponse(const FString&);
};
