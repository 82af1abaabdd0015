// Pixel Streaming 1 (Unreal 5.0 to 5.7): an input component receives and responds, the blueprint library sends files.
#include "TmvLink.h"
#include "TmvVersion.h"

#if TMV_PIXEL_STREAMING == 1

#include "Async/Async.h"
#include "GameFramework/Actor.h"
#include "PixelStreamingBlueprints.h"
#include "PixelStreamingDelegates.h"
#include "PixelStreamingInputComponent.h"
#include "UObject/StrongObjectPtr.h"
#include "UObject/WeakObjectPtr.h"

#include "TmvInputRelay.h"

namespace
{
	class FTmvLinkPixelStreaming final : public ITmvLink
	{
	public:
		virtual ~FTmvLinkPixelStreaming() override
		{
			Relay->Handler = nullptr;
			if (UPixelStreamingDelegates* Delegates = UPixelStreamingDelegates::GetPixelStreamingDelegates())
			{
				Delegates->OnAllConnectionsClosedNative.Remove(Closed);
			}
		}

		virtual bool Attach(AActor& Host, FString& OutError) override
		{
			UPixelStreamingInput* Component = NewObject<UPixelStreamingInput>(&Host);
			Component->RegisterComponent();
			if (!Component->HasBegunPlay())  // that is where it makes itself known to Pixel Streaming
			{
				OutError = TEXT("the input component did not begin play");
				return false;
			}
			Relay->Handler = [this](const FString& Text) { OnText(Text); };
			Component->OnInputEvent.AddDynamic(Relay.Get(), &UTmvInputRelay::OnInput);
			Input = Component;

			UPixelStreamingDelegates* Delegates = UPixelStreamingDelegates::GetPixelStreamingDelegates();
			if (Delegates == nullptr)
			{
				OutError = TEXT("Pixel Streaming has no delegates: is its plugin enabled?");
				return false;
			}
			if (!Closed.IsValid())
			{
				// 5.0 gives no streamer's id, later versions do; it may come from another thread.
				Closed = Delegates->OnAllConnectionsClosedNative.AddLambda([Alive = TWeakPtr<int32, ESPMode::ThreadSafe>(Life), this](auto&&...)
				{
					AsyncTask(ENamedThreads::GameThread, [Alive, this]()
					{
						if (Alive.IsValid())
						{
							OnAllLeft();
						}
					});
				});
			}
			return true;
		}

		virtual void Respond(const FString& Text) override
		{
			if (UPixelStreamingInput* Component = Input.Get())
			{
				Component->SendPixelStreamingResponse(Text);
			}
		}

		virtual void SendFile(const TArray64<uint8>& Bytes, const FString& Mime, const FString& Extension) override
		{
			UPixelStreamingBlueprints::SendFileAsByteArray(TArray<uint8>(Bytes.GetData(), static_cast<int32>(Bytes.Num())), Mime, Extension);
		}

	private:
		TStrongObjectPtr<UTmvInputRelay> Relay{NewObject<UTmvInputRelay>()};
		TWeakObjectPtr<UPixelStreamingInput> Input;
		FDelegateHandle Closed;
		TSharedPtr<int32, ESPMode::ThreadSafe> Life = MakeShared<int32, ESPMode::ThreadSafe>(0);
	};
}

TUniquePtr<ITmvLink> MakeTmvLink()
{
	return MakeUnique<FTmvLinkPixelStreaming>();
}

#endif
