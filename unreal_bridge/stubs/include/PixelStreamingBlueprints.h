#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UPixelStreamingBlueprints : public UObject { public: static void SendFileAsByteArray(TArray<uint8>, FString, FString); };
