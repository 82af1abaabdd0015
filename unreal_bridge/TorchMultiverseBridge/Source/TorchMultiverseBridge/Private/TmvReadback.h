// Copies a render target back without stalling the game thread: enqueued on the render thread, polled every frame.
#pragma once

#include "CoreMinimal.h"
#include "RHIGPUReadback.h"
#include "Templates/SharedPointer.h"
#include "Templates/UniquePtr.h"

#include <atomic>

class UTextureRenderTarget2D;

class FTmvReadback : public TSharedFromThis<FTmvReadback, ESPMode::ThreadSafe>
{
public:
	static TSharedRef<FTmvReadback, ESPMode::ThreadSafe> Begin(UTextureRenderTarget2D& Target, int32 BytesPerPixel);

	/** Asks the render thread to look; true once the pixels are here. Called every frame. */
	bool Poll();
	/** Rows of Pitch pixels. */
	const TArray64<uint8>& Data() const { return Pixels; }
	int32 Pitch() const { return RowPitch; }

private:
	TUniquePtr<FRHIGPUTextureReadback> Readback;  // touched on the render thread alone
	TArray64<uint8> Pixels;
	int32 RowPitch = 0, Height = 0, Bytes = 0;
	std::atomic<bool> bDone{false};
};
